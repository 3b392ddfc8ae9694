#!/usr/bin/env python3
"""quote.py TEXT OUT: the text's lines as C strings, for an #include inside an initialiser."""
import sys

with open(sys.argv[1], encoding="ascii") as text, open(sys.argv[2], "w", encoding="ascii") as out:
    for line in text:
        out.write('"%s\\n"\n' % line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"'))
