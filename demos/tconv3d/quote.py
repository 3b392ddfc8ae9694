#!/usr/bin/env python3
"""quote.py TEXT NAME OUT: the text as a C string constant of that name."""
import sys

path, name, out = sys.argv[1:]
with open(path, encoding="ascii") as text, open(out, "w", encoding="ascii") as file:
    file.write("static const char %s[] =\n" % name)
    for line in text:
        file.write('    "%s\\n"\n' % line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"'))
    file.write("    ;\n")
