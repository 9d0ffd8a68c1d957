// Files packed by gzip, read at any place: they are unpacked once, into a file without a name.
#pragma once

#include <functional>

#include "runtime/base/input_file.h"

namespace longsight {

bool is_gzip(const InputFile& file);  // by its first bytes

// The file itself, or what it holds if gzip packed it (also in several pieces, one behind the other). Then
// its content takes room in the system's folder for temporary files (TMPDIR) as long as the result is open;
// memory stays bounded. Messages go on naming `path`. missing_input; bad_data for a file that is cut off or
// damaged; cannot_write where there is no room for it. `progress` is called now and then, with bytes of the
// packed file.
using UnpackProgress = std::function<void(i64 done, i64 total)>;
InputFile open_unpacked(const std::string& path, const UnpackProgress& progress = nullptr);

// Opens the data file `path`: how is up to whoever runs the program (which rank unpacks it).
using OpenFile = std::function<InputFile(const std::string& path)>;

}  // namespace longsight
