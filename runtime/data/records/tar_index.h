// The members of a tar archive, found by reading its headers alone. Nothing is ever extracted.
//
// Read: ustar, the long names of GNU tar and of pax (POSIX.1-2001). Folders are passed over. Refused
// (bad_data with the archive and the offset): a checksum that is wrong, a size that is negative, in base 256,
// or reaches beyond the end of the file, sparse files, extended headers larger than 1 MiB or many in a row,
// names that are longer than 4,096 bytes or hold control characters or invalid UTF-8, member types that are
// not known, an archive without its end or with anything behind it, compressed archives. No more memory than
// a name and two numbers for each member that is kept.
#pragma once

#include <functional>
#include <string>

#include "runtime/base/input_file.h"

namespace longsight::data {

struct TarMember {
  std::string name;
  i64 offset = 0;  // of its content
  i64 bytes = 0;
  std::string no_file = {};  // "a link to b.jpg", "a device", "a pipe": it has no content here
};

// Calls `member` for each member but folders, in the order of the archive. Returns the fingerprint of all
// headers (names, sizes, times).
u64 scan_tar(const InputFile& file, const std::function<void(TarMember)>& member);

}  // namespace longsight::data
