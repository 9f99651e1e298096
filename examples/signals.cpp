// signals: runs until it is told to stop, by ctrl-C or by the kill command.
#include <unistd.h>
#include <weir/weir.h>

#include <csignal>
#include <iostream>

int main() {
  weir::EventLoop loop;

  for (const int signal : {SIGINT, SIGTERM}) {
    loop.add_signal_handler(signal, [&loop, signal] {
      std::cout << "got signal " << (signal == SIGINT ? "SIGINT" : "SIGTERM") << ": exit"
                << std::endl;
      loop.stop();
    });
  }
  std::cout << "event loop running for ever, press ctrl-C to interrupt\n"
            << "pid " << getpid() << ": send SIGINT or SIGTERM to exit" << std::endl;
  loop.run_forever();
}
