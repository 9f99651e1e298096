#include "trace_matching.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <ranges>
#include <string_view>
#include <utility>

namespace weir::inline v0::detail {
namespace {

/// So many datagrams may be on their way until the first of them is not recognised.
constexpr std::size_t most_datagrams = 1024;

std::size_t content_of(std::span<const std::byte> data) {
  return std::hash<std::string_view>()(
      std::string_view(reinterpret_cast<const char*>(data.data()), data.size()));
}

/// Whether who is bound to `bound` may be reached by `used`: 0.0.0.0 is every address.
bool is_reached(const Address& bound, const Address& used) {
  if (bound.family() == AddressFamily::unix_socket || bound.empty()) return bound == used;
  if (bound.port() != used.port()) return false;
  static constexpr Address::Bytes any{};
  // A group or a broadcast reaches many, whatever they are bound to.
  return bound.host() == used.host() || bound.bytes() == any || used.bytes()[0] >= 224;
}

std::string key(const Address& one, const Address& other, TransportKind kind, std::size_t layer) {
  return one.to_string() + '\n' + other.to_string() + '\n' +
         std::to_string(static_cast<int>(kind)) + ' ' + std::to_string(layer);
}

}  // namespace

// --- Bytes ------------------------------------------------------------------------------------------

void SentBytes::wrote(std::uint64_t entry, std::size_t size) {
  if (unseen_ || size == 0) return;
  pieces_.push_back({entry, written_, written_ + size});
  written_ += size;
}

void SentBytes::wrote_unseen(std::uint64_t entry) {
  if (unseen_) return;
  unseen_ = true;
  pieces_.push_back({entry, written_, std::numeric_limits<std::uint64_t>::max()});
}

void SentBytes::did_not_write(std::uint64_t entry) {
  if (pieces_.empty() || pieces_.back().entry != entry) return;
  written_ = pieces_.back().begin;
  pieces_.pop_back();
}

std::vector<std::uint64_t> SentBytes::received(std::size_t size) {
  std::vector<std::uint64_t> entries;
  const std::uint64_t end = received_ + size;
  while (!pieces_.empty() && pieces_.front().begin < end) {
    const Piece& piece = pieces_.front();
    if (piece.end > received_) entries.push_back(piece.entry);
    if (piece.end > end) break;
    pieces_.pop_front();
  }
  received_ = end;
  return entries;
}

void SentBytes::forget_before(std::uint64_t entry) {
  const auto is_old = [&](const Piece& piece) {
    return piece.entry < entry && piece.end != std::numeric_limits<std::uint64_t>::max();
  };
  while (!pieces_.empty() && is_old(pieces_.front())) pieces_.pop_front();
}

// --- Datagrams --------------------------------------------------------------------------------------

void SentDatagrams::sent(std::uint64_t entry, const Address& from, const Address& to,
                         std::span<const std::byte> data) {
  if (datagrams_.size() == most_datagrams) datagrams_.pop_front();
  datagrams_.push_back({entry, from, to, content_of(data), {}});
}

std::uint64_t SentDatagrams::received(std::uint64_t receiver, const Address& from,
                                      const Address& to, std::span<const std::byte> data) {
  const std::size_t content = content_of(data);
  Datagram* again = nullptr;
  for (Datagram& one : std::views::reverse(datagrams_)) {
    if (one.content != content || !is_reached(one.from, from) || !is_reached(to, one.to)) continue;
    if (std::ranges::find(one.receivers, receiver) == one.receivers.end()) {
      one.receivers.push_back(receiver);
      return one.entry;
    }
    if (again == nullptr) again = &one;
  }
  return again != nullptr ? again->entry : 0;  // a duplicate
}

// --- Ends -------------------------------------------------------------------------------------------

std::uint64_t LonelyEnds::partner_of(const TracedTransport& transport, std::size_t layer) {
  const auto& [own, peer] = std::pair(transport.sockname, transport.peername);
  if (own.to_string().empty() && peer.to_string().empty()) return 0;
  const auto [first, last] = ends_.equal_range(key(peer, own, transport.kind, layer));
  if (first == last) {
    ends_.emplace(key(own, peer, transport.kind, layer), Lonely{transport.number, transport.loop});
    return 0;
  }
  // Of Unix sockets clients have no names: they are accepted in the order they came. Elsewhere only one can be
  // open, unless hosts have the same address: then it is of the same one.
  const bool named = !own.to_string().empty() && !peer.to_string().empty();
  auto found = named ? std::prev(last) : first;
  for (auto one = first; named && one != last; ++one) {
    if (one->second.loop == transport.loop) found = one;
  }
  const std::uint64_t partner = found->second.transport;
  ends_.erase(found);
  return partner;
}

void LonelyEnds::forget(const TracedTransport& transport, std::size_t layer) {
  auto [one, last] =
      ends_.equal_range(key(transport.sockname, transport.peername, transport.kind, layer));
  while (one != last) {
    one = one->second.transport == transport.number ? ends_.erase(one) : std::next(one);
  }
}

}  // namespace weir::inline v0::detail
