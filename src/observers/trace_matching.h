// Which write a receive came from, and which transports are the two ends of one connection.
#pragma once

#include <weir/trace.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace weir::inline v0::detail {

/// One direction of a stream: what was written and is not received yet.
class SentBytes {
 public:
  void wrote(std::uint64_t entry, std::size_t size);
  /// Somebody sends without telling how much: what comes behind the writes so far is of that entry, for ever.
  void wrote_unseen(std::uint64_t entry);
  /// It threw: nothing was written.
  void did_not_write(std::uint64_t entry);

  /// The entries that the next `size` bytes to be received came from, oldest first.
  std::vector<std::uint64_t> received(std::size_t size);

  /// Of entries before `entry` nothing has to be known any more.
  void forget_before(std::uint64_t entry);

 private:
  struct Piece {
    std::uint64_t entry;
    std::uint64_t begin, end;  ///< offsets in the stream
  };
  std::deque<Piece> pieces_;
  std::uint64_t written_ = 0;
  std::uint64_t received_ = 0;
  bool unseen_ = false;
};

/// Datagrams on their way, recognised by their ports and their content. Of several that are equal the one
/// sent last that this receiver has not had is taken: others may have been lost.
class SentDatagrams {
 public:
  void sent(std::uint64_t entry, const Address& from, const Address& to,
            std::span<const std::byte> data);
  /// 0 if it is not known.
  std::uint64_t received(std::uint64_t receiver, const Address& from, const Address& to,
                         std::span<const std::byte> data);

 private:
  struct Datagram {
    std::uint64_t entry;
    Address from, to;
    std::size_t content;  ///< a hash
    std::vector<std::uint64_t> receivers;
  };
  std::deque<Datagram> datagrams_;
};

/// Transports whose other end is not known yet.
class LonelyEnds {
 public:
  /// The other end of `transport`, which is not lonely any more; if there is none, `transport` is. `layer` is how
  /// many transports are below it.
  std::uint64_t partner_of(const TracedTransport& transport, std::size_t layer);
  void forget(const TracedTransport& transport, std::size_t layer);

 private:
  struct Lonely {
    std::uint64_t transport;
    std::string loop;
  };
  std::multimap<std::string, Lonely> ends_;  ///< by addresses, kind and layer
};

}  // namespace weir::inline v0::detail
