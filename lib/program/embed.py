#!/usr/bin/env python3
"""embed.py OUT.c FILE.cl...: each file as one C string with its includes inlined and #line kept, in the table t3_sources."""
import os
import sys


def inlined(path):
    """The file's lines with every #include "..." replaced by that file, so that nothing is looked up at run time."""
    name = os.path.basename(path)
    lines = ['#line 1 "%s"' % name]
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if words[:1] == ["#include"]:
                lines += inlined(os.path.join(os.path.dirname(path), words[1].strip('"')))
                lines.append('#line %d "%s"' % (number + 1, name))
            else:
                lines.append(line.rstrip("\n"))
    return lines


def c_string(text):
    return '"%s\\n"' % text.replace("\\", "\\\\").replace('"', '\\"')


def main(out, *files):
    rows = []
    for path in files:
        name = os.path.splitext(os.path.basename(path))[0]
        rows.append('    {"%s",\n     %s},\n' % (name, "\n     ".join(map(c_string, inlined(path)))))
    with open(out, "w", encoding="ascii") as file:
        file.write('#include "program/program.h"\n\nconst t3_source t3_sources[] = {\n%s};\n' % "".join(rows))
        file.write("const size_t t3_num_sources = sizeof t3_sources / sizeof *t3_sources;\n")


main(*sys.argv[1:])
