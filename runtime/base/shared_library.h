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

  // What becomes the pointer to a function that it is assigned to.
  struct Symbol {
    template <class F>
    operator F*() const {  // NOLINT: implicit
      return reinterpret_cast<F*>(address);
    }
    void* address = nullptr;
  };
  // Throws missing_input where the library has none of this name.
  Symbol operator[](const char* symbol) const { return {address(symbol)}; }

 private:
  void* address(const char* symbol) const;

  std::string name_;
  void* handle_ = nullptr;  // open until the program ends: others may hold addresses in it
};

}  // namespace longsight
