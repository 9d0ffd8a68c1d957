// Names by pattern, as the shell does it: * is any run of characters (dots too), ? one, [a-c] one of these.
#pragma once

#include <string>

namespace longsight {

bool glob_matches(const std::string& pattern, const std::string& name);

}  // namespace longsight
