// Files packed by gzip, read at any place: they are unpacked once, into a file without a name.
#pragma once

#include "runtime/base/input_file.h"

namespace longsight {

bool is_gzip(const InputFile& file);  // by its first bytes

// The file itself, or what it holds if gzip packed it (also in several pieces, one behind the other). Then
// its content takes room in the system's folder for temporary files (TMPDIR) as long as the result is open;
// memory stays bounded. Messages go on naming `path`. missing_input; bad_data for a file that is cut off or
// damaged; cannot_write where there is no room for it.
InputFile open_unpacked(const std::string& path);

}  // namespace longsight
