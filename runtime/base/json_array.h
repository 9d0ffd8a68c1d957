// The elements of a large JSON array, found without parsing or holding the file: data sets are often one
// array of a gigabyte.
#pragma once

#include "runtime/base/json.h"

namespace longsight {

// The first byte that is not blank opens an array.
bool is_json_array(const InputFile& file);

// Where the elements of an array of objects stand; one pass in bounded memory. The elements themselves are
// looked at only as far as their ends must be found: parse_json says what else is wrong with one. bad_data
// with PATH:LINE for an element that is not an object, is longer than 16 MiB or nested deeper than 64, for a
// missing comma or bracket, a file that ends too early, anything behind the array. A BOM is fine.
JsonPlaces index_json_array(const InputFile& file);

// Column, from 1, in which the byte at `offset` stands.
i64 column_in_file(const InputFile& file, i64 offset);

}  // namespace longsight
