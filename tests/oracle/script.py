"""Reads the scenarios of the oracle: see README.md."""

import re


class Scenario:
    def __init__(self, name, rules):
        self.name = name
        self.rules = rules
        self.requires = []
        self.compare = []
        self.hide_data = False
        self.buffered = set()
        self.factory_throws = {}
        self.handlers = []  # (label, event, occurrence or None, actions)
        self.steps = []

    def over_any_transport(self):
        """Whether its connections may as well go over another transport than TCP."""
        return any(words[0] in ("listen", "open") and "unix=" not in " ".join(words)
                   for words in self.steps)


def words_of(action):
    return action.split()


def read_handler(line):
    """`on client.eof_received#1: close; print is_closing` in parts."""
    found = re.fullmatch(r"on (\w+)\.([\w>=]+)(?:#(\d+))?: (.*)", line)
    if not found:
        raise ValueError(f"not a handler: {line}")
    label, event, occurrence, actions = found.groups()
    return (label, event, int(occurrence) if occurrence else None,
            [words_of(action) for action in actions.split(";")])


def read_scenarios(path):
    scenarios = []
    for line in path.read_text().splitlines():
        line = re.sub(r"(^|\s)#\s.*$|^#$", "", line).strip()
        if not line:
            continue
        words = words_of(line)
        if words[0] == "scenario":
            scenarios.append(Scenario(words[1], words[2:]))
            continue
        scenario = scenarios[-1]
        if words[0] == "requires":
            scenario.requires += words[1:]
        elif words[0] == "compare":
            scenario.compare += words[1:]
        elif words == ["hide", "data"]:
            scenario.hide_data = True
        elif words[0] == "buffered":
            scenario.buffered.add(words[1])
        elif words[0] == "factory":
            scenario.factory_throws[words[1]] = words[3]
        elif words[0] == "on":
            scenario.handlers.append(read_handler(line))
        else:
            scenario.steps.append(words)
    return scenarios
