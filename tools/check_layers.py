#!/usr/bin/env python3
"""Checks what may include what; see the table in docs/architecture.md.

    check_layers.py [ROOT]

The build already refuses an include of a layer above, for it does not find the header. This check
says the finer things a list of include directories cannot say:

- our headers are included by plain name, so that no path leads around the layers;
- of the backend, the layers above see backend.h only, but for the file that makes simulated worlds;
- operating-system headers stay in base and backend, and in the files of OS_IN_LOOP;
- OpenSSL is seen by tls alone, liburing by the io_uring backend alone;
- no code above the backend says the name of one, except where it is chosen; no behaviour test does;
- adapters (observers, streams), examples and the tool use the public headers only.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from check_headers import STANDARD, includes

# layer: the layers it sees besides itself
LAYERS = {
    "base": (),
    "backend": ("base",),
    "loop": ("base", "backend"),
    "transports": ("base", "backend", "loop"),
    "tls": ("base", "backend", "loop", "transports"),
    "endpoints": ("base", "backend", "loop", "transports", "tls"),
    "observers": (),
    "streams": (),
}
# The files of the loop that choose a backend, and so may name one.
BACKEND_CHOICE = ("loop.cpp", "event_loop.cpp")
# The files of the loop about simulated worlds, and the header by which they see them.
WORLDS = {"simulation.cpp": "simulated_world.h", "fault_script.cpp": "simulated_world.h"}
# Parts of the loop that are themselves about the operating system.
OS_IN_LOOP = ("thread_pool", "resolver_threads", "resolver", "signals", "children",
              "spawn", "spawn_child", "loop_threads")
# Outside src/: directories that see public headers, and headers of their own.
PUBLIC_ONLY = ("examples", "tools/weir")
# Of the compiler, not of an operating system.
COMPILER = ("cxxabi.h",)

# As a word of its own in any spelling, but not within `during`.
BACKEND_NAME = re.compile(r"\w*(?:[Ee]poll|EPOLL|(?<![A-Za-z])uring|Uring|(?<![A-Z])URING)\w*")
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def code_only(text):
    """The text without comments; strings and line numbers stay."""
    def blank(found):
        word = found.group(0)
        return word if word.startswith('"') else "\n" * word.count("\n")
    return COMMENT_OR_STRING.sub(blank, text)


def sources(directory):
    return sorted(p for p in directory.rglob("*") if p.suffix in (".h", ".cpp"))


class Checker:
    def __init__(self, root):
        self.root = root
        self.complaints = []
        self.layer_of = {}  # header name -> the layer it is in

    def complain(self, path, line, text):
        self.complaints.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def check(self):
        self.collect_headers()
        for layer in LAYERS:
            for path in sources(self.root / "src" / layer):
                self.check_file(path, layer)
        for path in sources(self.root / "src"):
            if path.relative_to(self.root / "src").parts[0] not in LAYERS:
                self.complain(path, 1, "is in no layer")
        for directory in PUBLIC_ONLY:
            for path in sources(self.root / directory):
                self.check_public_only(path)
        for path in sources(self.root / "tests" / "behaviour"):
            self.check_names_no_backend(path)
        return self.complaints

    def collect_headers(self):
        for layer in LAYERS:
            for path in sources(self.root / "src" / layer):
                if path.suffix != ".h":
                    continue
                if path.name in self.layer_of:
                    self.complain(path, 1, f"{path.name} is also in {self.layer_of[path.name]}")
                self.layer_of[path.name] = layer

    def check_file(self, path, layer):
        for line, name in includes(path):
            if name.startswith('"'):
                self.check_own(path, line, layer, name[1:-1])
            else:
                self.check_foreign(path, line, layer, name[1:-1])
        chooses = layer == "loop" and path.name in BACKEND_CHOICE
        if layer not in ("base", "backend") and not chooses:
            self.check_names_no_backend(path)

    def check_own(self, path, line, layer, name):
        """`name` was included with quotes: one of our internal headers."""
        owner = self.layer_of.get(name)
        if "/" in name:
            self.complain(path, line, f'"{name}": include by plain name')
        elif owner is None:
            self.complain(path, line, f'"{name}" is in no layer')
        elif owner != layer and owner not in LAYERS[layer]:
            self.complain(path, line, f'{layer} may not see "{name}" of {owner}')
        elif owner == "backend" != layer and name not in ("backend.h", WORLDS.get(path.name)):
            self.complain(path, line, f'of the backend only "backend.h", not "{name}"')

    def check_foreign(self, path, line, layer, name):
        """`name` was included with angle brackets: public, standard, or of somebody else."""
        if name.startswith("weir/") or name in STANDARD or name in COMPILER:
            return
        if name.startswith("openssl/"):
            allowed = layer == "tls"
        elif name.startswith("liburing"):
            allowed = layer == "backend" and path.stem.startswith("uring")
        else:
            allowed = (layer in ("base", "backend")
                       or layer == "loop" and path.stem in OS_IN_LOOP)
        if not allowed:
            self.complain(path, line, f"<{name}> may not be included in {layer}")

    def check_public_only(self, path):
        for line, name in includes(path):
            own = name.startswith('"') and (path.parent / name[1:-1]).is_file()
            if name.startswith('"') and (not own or ".." in name):
                self.complain(path, line, f"{name}: public headers and own headers only")

    def check_names_no_backend(self, path):
        for line, text in enumerate(code_only(path.read_text()).splitlines(), 1):
            for found in BACKEND_NAME.findall(text):
                self.complain(path, line, f"names a backend: {found}")


def check(root):
    """Returns the complaints about the tree under `root`, as lines of text."""
    return Checker(root).check()


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    print("\n".join(found))
    sys.exit(1 if found else 0)
