#include "runtime/jinja/python/parameters.h"

#include <algorithm>

namespace longsight::jinja {

Parameters::Parameters(std::string_view function, Arguments&& arguments,
                       std::initializer_list<std::string_view> names, std::size_t required)
    : names_(names), given_(names.size()) {
  if (arguments.positional.size() > names.size()) {
    refuse("{}() takes at most {} arguments ({} given)", function, names.size(), arguments.positional.size());
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i)
    given_[i] = std::move(arguments.positional[i]);
  for (auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end() || name.starts_with('/')) {
      refuse("{}() got an unexpected keyword argument '{}'", function, name);
    }
    auto& slot = given_[static_cast<std::size_t>(found - names_.begin())];
    if (slot.has_value()) refuse("{}() got multiple values for argument '{}'", function, name);
    slot = std::move(value);
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!given_[i].has_value()) refuse("{}() misses its argument {}", function, i + 1);
  }
}

}  // namespace longsight::jinja
