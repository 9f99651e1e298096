#pragma once

/// Marks what the library exports: its code is compiled with hidden visibility, so a class or
/// function of the public API without this mark does not link against the shared library.
///
/// An ELF import and an ELF export are the same thing, so one form serves the static library, the
/// shared one, and their users. Exception and interface types need it in every case: a type thrown
/// or cast across two shared objects must have one type_info.
#define WEIR_API __attribute__((visibility("default")))
