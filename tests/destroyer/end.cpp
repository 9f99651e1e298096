#include "end.h"

#include "world.h"

namespace weir::destroyer {

void End::callback(const char* name, std::size_t amount) {
  world_.journal().event(name, number_, amount);
  check_life();
  world_.journal().require(!gone_, "a callback on a loop that is closed [L6]");
}

void End::callback_of_call(const char* name) {
  world_.journal().event(name, number_);
  check_life();
}

void End::check_life() const {
  world_.journal().require(made_, "a callback before connection_made() [B1]");
  world_.journal().require(!lost_, "a callback after connection_lost() [B2]");
}

void End::callback_made() {
  world_.journal().event("connection_made", number_);
  world_.journal().require(!made_, "a second connection_made() [B1]");
  world_.journal().require(!gone_, "connection_made() on a loop that is closed [L6]");
  made_ = true;
}

void End::callback_lost() {
  callback("connection_lost");
  lost_ = true;
}

}  // namespace weir::destroyer
