// A library that is opened when something of it is first needed, so that a program starts where it is not
// installed.
#pragma once

#include <string>

namespace longsight {

class SharedLibrary {
 public:
  // Opens `name` as the system finds libraries (LD_LIBRARY_PATH, the program's own paths, ldconfig). Throws
  // missing_input, saying what it is needed for, where there is none.
  SharedLibrary(std::string name, const std::string& needed_for);

  // A function of it, of pointer type F; throws missing_input where the library has none of this name.
  template <class F>
  F function(const char* symbol) const {
    return reinterpret_cast<F>(address(symbol));
  }

 private:
  void* address(const char* symbol) const;

  std::string name_;
  void* handle_ = nullptr;  // open until the program ends: others may hold addresses in it
};

}  // namespace longsight
