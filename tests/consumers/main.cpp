// The smallest program that needs the headers, the library and what the library needs.

#include <weir/weir.h>

#include <iostream>

int main() {
  weir::EventLoop loop;
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
  std::cout << weir::version();
  try {
    const weir::TlsContext needs_what_the_library_needs = weir::TlsContext::client();
  } catch (const weir::UnsupportedOperationError&) {
    std::cout << " without TLS";
  }
  std::cout << '\n';
}
