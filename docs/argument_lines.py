"""An extension of griffe: in a docstring, a line that begins with the name of an argument begins an item of a list."""

import re

import griffe

BEGINNING = re.compile(r"((?:\w+, )*\w+): ")


class ArgumentLines(griffe.Extension):
    """The project's docstrings explain arguments in running lines, `name: what it is`."""

    def on_package(self, *, pkg, **kwargs):
        """Rewrite every docstring of a package that has been read."""
        self._rewrite(pkg)

    def _rewrite(self, owner):
        if owner.docstring:
            owner.docstring.value = with_items(owner.docstring.value, names_of(owner))
        for member in owner.members.values():
            if not member.is_alias:
                self._rewrite(member)


def names_of(owner) -> set[str]:
    """The arguments of a function or a class, and the attributes of a class."""
    if owner.is_function:
        return {parameter.name for parameter in owner.parameters}
    if owner.is_class:
        return {parameter.name for parameter in owner.parameters} | set(owner.members)
    return set()


def with_items(text: str, names: set[str]) -> str:
    """The text with a list item wherever an unindented line begins with some of the names and a colon."""
    lines, within = [], False
    for line in text.splitlines():
        found = BEGINNING.match(line)
        if found and set(found[1].split(", ")) <= names:
            lines += [] if within else [""]
            marked = ", ".join(f"`{name}`" for name in found[1].split(", "))
            line = f"- {marked}: {line[found.end() :]}"
            within = True
        elif within and line.startswith(("Raises ", "Returns ")):
            lines.append("")
            within = False
        elif not line.strip():
            within = False
        lines.append(line)
    return "\n".join(lines)
