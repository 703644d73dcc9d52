"""The JSON Schema of score.json for a week: the engine's form, with the week's parts, TODOs and own entries."""

from __future__ import annotations

import json
from typing import Any

from grader.engine.contract import Contract
from grader.engine.result import FRAME_LIMIT, SCHEMA, STATUSES
from grader.engine.sections import strict

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
IDENTIFIER = "^[a-z0-9-]+$"
FRAMES = (
    "where in the student's own files: the lines an error went through, outermost first, or where the function of the "
    "TODO begins; line 0 is the whole file"
)


def schema(contract: Contract) -> dict[str, Any]:
    """What `score.json` of this week is: https://json-schema.org/draft/2020-12/schema"""
    part = {"enum": list(contract.part_names)}
    properties = {
        "schema": {"const": SCHEMA},
        "started_at": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", "description": "UTC"},
        "seconds": {"type": "number", "minimum": 0, "description": "wall time of the run"},
        "seed": COUNT | {"description": "fixes what the run draws: inputs, order, initialisation"},
        "submission": strict(
            {"name": TEXT, "digest": DIGEST, "notes": {"type": "array", "items": TEXT}}, {"notebook": {"const": True}}
        ),
        "grader": strict(
            {
                "version": TEXT,
                "digest": DIGEST,
                "isolation": {"enum": ["practice", "confined"]},
                "measures": {
                    "type": "array",
                    "items": TEXT,
                    "description": "what confined every child of the run, as each was tried",
                },
                "worker": {"enum": ["fork", "spawn"]},
                "key": {
                    "type": ["string", "null"],
                    "pattern": "^[0-9a-f]{12}$",
                    "description": "fingerprint of the key that the seed was used with; null: it was not kept",
                },
                "pool": {
                    "type": "string",
                    "pattern": "^(bundled|[0-9a-f]{12})$",
                    "description": "the data that the run drew from: what everybody has, or a teacher's own",
                },
            }
        ),
        "final": {"type": "boolean", "description": "false when a check ended as grader_error: then there is no score"},
        "score": {"type": ["integer", "null"], "minimum": 0, "description": "null while it is not final"},
        "points_so_far": COUNT,
        "max_score": COUNT,
        "parts": {"type": "array", "items": strict({"name": part, "score": COUNT, "max_score": COUNT})},
        "checks": {"type": "array", "items": check(part, sorted(contract.todo))},
        **contract.sections.schema,
        "prints": TEXT | {"description": "the tail of what student code printed in the first check that did not pass"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "score.json: what one run of the grader found",
    } | strict(properties)


def check(part: dict[str, Any], todos: list[int]) -> dict[str, Any]:
    frame = strict({"file": TEXT, "line": COUNT, "function": TEXT, "text": TEXT})
    optional = {
        "place": TEXT | {"description": "where the fault is, for people"},
        "quote": TEXT | {"description": "the line of their own that an error came from, with marks below it"},
        "frames": {"type": "array", "maxItems": FRAME_LIMIT, "description": FRAMES, "items": frame},
    }
    required = {
        "id": {"type": "string", "pattern": IDENTIFIER},
        "title": {"type": "string", "minLength": 1},
        "part": part,
        "todo": {"enum": todos},
        "status": {"enum": list(STATUSES)},
        "score": COUNT,
        "max_score": COUNT,
        "finding": {"type": ["string", "null"], "pattern": IDENTIFIER},
        "message": TEXT,
        "hint": TEXT,
        "seconds": {"type": "number", "minimum": 0},
    }
    return strict(required, optional)


def dumps(contract: Contract) -> bytes:
    return (json.dumps(schema(contract), indent=2) + "\n").encode("utf-8")
