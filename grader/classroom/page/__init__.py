"""class.html: what a class got, and what it did not understand.

`page.write` is the door. figures, attention, scores, changes: what results say, as plain frozen data. similar: pairs
of submissions to look at. private: what may be shown while names are left out. drawings, class.html.j2, class.css and
class.js: their form.
"""
