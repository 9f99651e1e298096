#!/usr/bin/env python3
"""tools/check_layers.py and tools/check_headers.py complain when they should, and only then."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))
import check_headers
import check_layers


class Tree(unittest.TestCase):
    def complaints(self, checker, files):
        """What `checker` says of a tree with these files, added to a small correct one."""
        tree = {
            "include/weir/error.h": "#pragma once\n#include <system_error>\n",
            "src/base/fd.h": "#include <unistd.h>\n",
            "src/backend/backend.h": '#include <weir/error.h>\n#include "fd.h"\n',
            "src/backend/epoll_backend.h": '#include "backend.h"\n#include <sys/epoll.h>\n',
            "src/loop/event_loop.h": '#include "backend.h"\n',
            "src/transports/read_side.h": '#include "event_loop.h"\n// as epoll does it\n',
        }
        with tempfile.TemporaryDirectory() as directory:
            for name, text in {**tree, **files}.items():
                path = pathlib.Path(directory) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return checker.check(pathlib.Path(directory))


class Layers(Tree):
    def assert_refused(self, files, words):
        found = self.complaints(check_layers, files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_the_correct_tree_passes(self):
        self.assertEqual(self.complaints(check_layers, {}), [])

    def test_an_include_of_a_layer_above(self):
        self.assert_refused({"src/loop/x.cpp": '#include "read_side.h"\n'}, "loop may not see")

    def test_a_path_around_the_layers(self):
        self.assert_refused({"src/base/x.cpp": '#include "../loop/event_loop.h"\n'}, "plain name")
        self.assert_refused({"src/base/x.cpp": '# include "loop/event_loop.h"\n'}, "plain name")

    def test_more_of_the_backend_than_its_seam(self):
        self.assert_refused({"src/transports/x.cpp": '#include "socket_calls.h"\n',
                             "src/backend/socket_calls.h": ""}, "only \"backend.h\"")

    def test_an_operating_system_header_above_the_backend(self):
        self.assert_refused({"src/transports/x.cpp": "#include <sys/socket.h>\n"}, "may not be")
        self.assert_refused({"src/loop/x.cpp": "#include <unistd.h>\n"}, "may not be")
        self.assertEqual(
            self.complaints(check_layers, {"src/loop/resolver.cpp": "#include <netdb.h>\n"}), [])

    def test_a_library_outside_its_layer(self):
        self.assert_refused({"src/endpoints/x.cpp": "#include <openssl/ssl.h>\n"}, "may not be")
        self.assert_refused({"src/backend/epoll_x.cpp": "#include <liburing.h>\n"}, "may not be")

    def test_the_name_of_a_backend_in_code(self):
        self.assert_refused({"src/transports/x.cpp": "/* epoll */ int epoll_fd;\n"}, "epoll_fd")
        self.assertEqual(
            self.complaints(check_layers, {"src/loop/loop.cpp": "make_epoll_backend();\n"}), [])
        self.assert_refused({"src/transports/x.cpp": "IoUring ring;\n"}, "IoUring")
        self.assertEqual(
            self.complaints(check_layers, {"src/loop/x.cpp": "int during, WrittenDuring;\n"}), [])
        self.assert_refused({"tests/behaviour/x.cpp": 'use("io_uring");\n'}, "io_uring")

    def test_a_header_name_used_twice(self):
        self.assert_refused({"src/transports/event_loop.h": ""}, "also in loop")

    def test_a_directory_that_is_no_layer(self):
        self.assert_refused({"src/common/x.h": ""}, "in no layer")

    def test_an_example_that_sees_more_than_the_public_headers(self):
        self.assert_refused({"examples/x.cpp": '#include "event_loop.h"\n'}, "public headers and own")


class Headers(Tree):
    def assert_refused(self, text):
        found = self.complaints(check_headers, {"include/weir/x.h": text})
        self.assertEqual(len(found), 1, found)

    def test_the_correct_tree_passes(self):
        self.assertEqual(self.complaints(check_headers, {}), [])

    def test_headers_that_are_not_ours_to_ask_for(self):
        for name in ("<sys/socket.h>", "<unistd.h>", "<openssl/ssl.h>", "<liburing.h>", "<errno.h>",
                     '"fd.h"', '"../src/base/fd.h"', "<weir/absent.h>", "NAME"):
            self.assert_refused(f"#pragma once\n#include {name}  // why\n")

    def test_a_header_without_a_guard(self):
        self.assert_refused("int x;\n")


if __name__ == "__main__":
    unittest.main()
