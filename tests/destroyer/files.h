#pragma once

#include <weir/descriptor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace weir::destroyer {

/// A file of no directory, with these bytes.
Descriptor file_of(std::span<const std::byte> bytes);
/// Where reading it would go on.
std::uint64_t position_of(int file);

/// A new pipe of the system.
struct PipeEnds {
  Descriptor read_end;
  Descriptor write_end;
};
PipeEnds new_pipe();

/// How many descriptors this process has open.
std::size_t open_descriptors();

}  // namespace weir::destroyer
