"""Fingerprints of digits that do not change when the picture is turned, mirrored, moved or scaled.

What somebody would store who knows the shipped digits but not the view of the run. All take images float32
(N, 28, 28), 0 to 1, and return float32 (N, some width).
"""

from __future__ import annotations

from math import factorial

import numpy as np

SIZE = 28
FROM_CENTRE = np.arange(SIZE) - (SIZE - 1) / 2


def moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ink (N,), its centre (N, 2) from the middle of the picture, and its covariance (N, 2, 2)."""
    ink = images.sum(axis=(1, 2)) + 1e-6
    rows, columns = images.sum(axis=2), images.sum(axis=1)
    centre = np.stack([rows @ FROM_CENTRE, columns @ FROM_CENTRE], axis=1) / ink[:, None]
    down, right = FROM_CENTRE - centre[:, :1], FROM_CENTRE - centre[:, 1:]
    both = np.einsum("nij,ni,nj->n", images, down, right)
    covariance = np.array([[(rows * down**2).sum(axis=1), both], [both, (columns * right**2).sum(axis=1)]])
    return ink, centre, covariance.transpose(2, 0, 1) / ink[:, None, None]


def polar(images: np.ndarray, affine: bool, rings: int = 12, angles: int = 48, reach: float = 2.4) -> np.ndarray:
    """(N, rings, angles) around the centre of the ink, scaled by its spread; `affine` undoes shear and stretch too."""
    _, centre, covariance = moments(images)
    if affine:
        variance, axes = np.linalg.eigh(covariance + 1e-3 * np.eye(2))
        root = np.einsum("nij,nj,nkj->nik", axes, np.sqrt(variance), axes)
    else:
        root = np.sqrt(np.trace(covariance, axis1=1, axis2=2) / 2)[:, None, None] * np.eye(2)
    radius, angle = (np.arange(rings) + 0.7) / rings * reach, np.arange(angles) * 2 * np.pi / angles
    circle = np.stack([np.outer(radius, np.cos(angle)), np.outer(radius, np.sin(angle))]).reshape(2, -1)
    places = root @ circle + centre[:, :, None] + (SIZE - 1) / 2
    return bilinear(images, places).reshape(len(images), rings, angles)


def bilinear(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Grey values at rows and columns (N, 2, K), a place of its own for each image; (N, K)."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(len(images), -1)
    places = np.clip(places, -1, SIZE - 1e-3) + 1
    low = np.floor(places).astype(int)
    down, right = (places - low).transpose(1, 0, 2)
    index, each, wide = low[:, 0] * (SIZE + 2) + low[:, 1], np.arange(len(images))[:, None], SIZE + 2
    upper = framed[each, index] * (1 - right) + framed[each, index + 1] * right
    lower = framed[each, index + wide] * (1 - right) + framed[each, index + wide + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def fourier_rings(images: np.ndarray, affine: bool = False) -> np.ndarray:
    """Fourier magnitudes along rings, and phases relative to each other: within a ring and from ring to ring."""
    waves = np.fft.rfft(polar(images, affine), axis=2)
    magnitudes = np.sqrt(np.abs(waves[:, :, :12])).reshape(len(images), -1)
    waves = waves[:, :, :7] / np.sqrt(np.abs(waves[:, :, :7]) + 1e-3)
    pairs = [(a, b) for a in range(1, 4) for b in range(a, 4)]
    phases = [waves[:, :, a] * waves[:, :, b] * waves[:, :, a + b].conj() for a, b in pairs]
    for order in range(1, 5):
        phases += [waves[:, :-step, order] * waves[:, step:, order].conj() for step in (2, 5)]
    relative = np.concatenate([phase.real for phase in phases], axis=1)  # the real part is mirror-proof
    return np.concatenate([np.sign(relative) * np.sqrt(np.abs(relative)), magnitudes], axis=1)


def affine_fourier_rings(images: np.ndarray) -> np.ndarray:
    return fourier_rings(images, affine=True)


def sorted_rings(images: np.ndarray) -> np.ndarray:
    """The grey values along each ring, in order of size."""
    return np.sort(polar(images, affine=False), axis=2)[:, :, ::4].reshape(len(images), -1)


def fourier_mellin(images: np.ndarray) -> np.ndarray:
    """The power spectrum in log-polar coordinates, where turning and scaling are shifts, and its own spectrum."""
    padded = np.pad(images, ((0, 0), (18, 18), (18, 18)))
    spectrum = np.log1p(np.fft.fftshift(np.abs(np.fft.fft2(padded)), axes=(1, 2)))
    radius, angle = np.geomspace(2, 26, 16), np.arange(32) * np.pi / 32
    row, column = 32 + np.outer(radius, np.cos(angle)), 32 + np.outer(radius, np.sin(angle))
    low_row, low_column = np.floor(row).astype(int), np.floor(column).astype(int)
    down, right = row - low_row, column - low_column
    log_polar = 0
    for a, row_weight in ((0, 1 - down), (1, down)):
        for b, column_weight in ((0, 1 - right), (1, right)):
            log_polar = log_polar + spectrum[:, low_row + a, low_column + b] * row_weight * column_weight
    shifts = np.log1p(np.abs(np.fft.fft2(log_polar)))[:, :9, :10].reshape(len(images), -1)
    turns = np.log1p(np.abs(np.fft.rfft(log_polar, axis=2)))[:, :, :8].reshape(len(images), -1)
    return np.concatenate([shifts, turns], axis=1)


def zernike(images: np.ndarray, order: int = 14) -> np.ndarray:
    """Magnitudes of the Zernike moments up to this order, on a disc that is scaled to the spread of the ink."""
    ink, centre, covariance = moments(images)
    scale = 2.1 * np.sqrt(np.trace(covariance, axis1=1, axis2=2))[:, None, None]
    down = (FROM_CENTRE[:, None] - centre[:, 0, None, None]) / scale
    right = (FROM_CENTRE[None, :] - centre[:, 1, None, None]) / scale
    radius, turn = np.hypot(down, right), np.exp(-1j * np.arctan2(down, right))
    inside = (radius <= 1) * images / ink[:, None, None]
    found = []
    for repeats in range(order + 1):
        turned = inside * turn**repeats
        sums = {power: (turned * radius**power).sum(axis=(1, 2)) for power in range(repeats, order + 1, 2)}
        for n in range(repeats, order + 1, 2):
            total = 0
            for s in range((n - repeats) // 2 + 1):
                below = factorial(s) * factorial((n + repeats) // 2 - s) * factorial((n - repeats) // 2 - s)
                total = total + (-1) ** s * factorial(n - s) / below * sums[n - 2 * s]
            found.append(np.sqrt(np.abs(total) * (n + 1)))
    return np.stack(found, axis=1)


def central(images: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    _, centre, _ = moments(images)
    down, right = FROM_CENTRE - centre[:, :1], FROM_CENTRE - centre[:, 1:]
    orders = [(p, q) for p in range(4) for q in range(4 - p)]
    return {(p, q): np.einsum("nij,ni,nj->n", images, down**p, right**q) for p, q in orders}


def hu(images: np.ndarray) -> np.ndarray:
    """Hu's seven moments (1962), the last without its sign, which a mirror turns."""
    m = central(images)
    n = {order: value / m[0, 0] ** (1 + sum(order) / 2) for order, value in m.items()}
    a, b, c = n[2, 0], n[0, 2], n[1, 1]
    s, t, u, v = n[3, 0] + n[1, 2], n[2, 1] + n[0, 3], n[3, 0] - 3 * n[1, 2], 3 * n[2, 1] - n[0, 3]
    h = [a + b, (a - b) ** 2 + 4 * c**2, u**2 + v**2, s**2 + t**2]
    h += [u * s * (s**2 - 3 * t**2) + v * t * (3 * s**2 - t**2), (a - b) * (s**2 - t**2) + 4 * c * s * t]
    h += [np.abs(v * s * (s**2 - 3 * t**2) - u * t * (3 * s**2 - t**2))]
    return np.stack([np.sign(x) * np.log1p(np.abs(x) * 1e6) for x in h], axis=1)


def affine_moments(images: np.ndarray) -> np.ndarray:
    """The four affine moment invariants of Flusser and Suk (Pattern Recognition 26, 1993)."""
    m = central(images)
    mass, a, b, c = m[0, 0], m[2, 0], m[1, 1], m[0, 2]
    p, q, r, s = m[3, 0], m[2, 1], m[1, 2], m[0, 3]
    i1 = (a * c - b**2) / mass**4
    i2 = (-(p**2) * s**2 + 6 * p * q * r * s - 4 * p * r**3 - 4 * q**3 * s + 3 * q**2 * r**2) / mass**10
    i3 = (a * (q * s - r**2) - b * (p * s - q * r) + c * (p * r - q**2)) / mass**7
    i4 = -(a**3) * s**2 + 6 * a**2 * b * r * s - 3 * a**2 * c * r**2 - 6 * a * b**2 * q * s - 6 * a * b**2 * r**2
    i4 += 12 * a * b * c * q * r - 3 * a * c**2 * q**2 + 2 * b**3 * p * s + 6 * b**3 * q * r - 6 * b**2 * c * p * r
    i4 += -6 * b**2 * c * q**2 + 6 * b * c**2 * p * q - c**3 * p**2
    return np.stack([np.sign(x) * np.abs(x) ** 0.25 for x in (i1, i2, i3, i4 / mass**11)], axis=1)


def ink_and_holes(images: np.ndarray) -> np.ndarray:
    """How much ink in which greys, and the Euler number at four levels, which no one-to-one map changes."""
    flat = images.reshape(len(images), -1)
    found = [flat.sum(axis=1), (flat**2).sum(axis=1), *((flat > level).sum(axis=1) for level in (0.25, 0.5, 0.8))]
    found += list(np.quantile(flat, np.linspace(0.7, 0.995, 16), axis=1))
    for level in (0.2, 0.35, 0.5, 0.65):
        bits = np.pad(images > level, ((0, 0), (1, 1), (1, 1))).astype(int)
        quads = bits[:, :-1, :-1] + bits[:, 1:, :-1] + bits[:, :-1, 1:] + bits[:, 1:, 1:]
        diagonal = (quads == 2) & (bits[:, :-1, :-1] == bits[:, 1:, 1:])
        found.append(((quads == 1).sum((1, 2)) - (quads == 3).sum((1, 2)) - 2 * diagonal.sum((1, 2))) / 4)
    return np.stack(found, axis=1)


FEATURES = {
    "Hu moments": hu,
    "affine moment invariants": affine_moments,
    "Zernike moments": zernike,
    "sorted rings": sorted_rings,
    "Fourier rings": fourier_rings,
    "Fourier rings, made affine-proof": affine_fourier_rings,
    "Fourier-Mellin": fourier_mellin,
    "ink and holes": ink_and_holes,
}
