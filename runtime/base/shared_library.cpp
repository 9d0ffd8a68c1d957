#include "runtime/base/shared_library.h"

#include <dlfcn.h>

#include "runtime/base/error.h"

namespace longsight {

SharedLibrary::SharedLibrary(std::string name, const std::string& needed_for)
    : name_(std::move(name)), handle_(dlopen(name_.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ != nullptr) return;
  const char* const reason = dlerror();
  fail(ExitCode::missing_input,
       "{}, needed for {}, cannot be opened: {}. Install it, or add its folder to LD_LIBRARY_PATH", name_,
       needed_for, reason == nullptr ? "no reason given" : reason);
}

void* SharedLibrary::address(const char* symbol) const {
  void* const found = dlsym(handle_, symbol);
  require(found != nullptr, ExitCode::missing_input, "{} has no {}: is it of an older version?", name_,
          symbol);
  return found;
}

}  // namespace longsight
