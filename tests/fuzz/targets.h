// The readers of files that strangers make, each behind a function of bytes. Whatever the bytes are, they are
// read or refused with an Error; a crash, another exception, or an Error that says that the program itself is
// broken, is a fault. libFuzzer calls them (fuzz_main.cpp, scripts/fuzz.sh), and the tests do with seeds
// (replay_main.cpp).
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace longsight::fuzz {

using Bytes = std::span<const std::uint8_t>;

void bmp(Bytes);
void chat_template(Bytes);
void checkpoint_manifest(Bytes);
void config_yaml(Bytes);
void data_index(Bytes);   // DATA_FILE.index
void data_record(Bytes);  // JSONL or an array of records, of any kind
void gif(Bytes);
void gzip(Bytes);
void image_processor(Bytes);  // preprocessor_config.json
void jpeg(Bytes);
void model_config(Bytes);  // config.json, of every family
void png(Bytes);
void safetensors(Bytes);
void safetensors_index(Bytes);
void sentencepiece(Bytes);
void tar(Bytes);
void tiff(Bytes);
void tokenizer_json(Bytes);
void webp(Bytes);

inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

[[noreturn]] inline void fault(const std::string& what) {
  std::fprintf(stderr, "fault: %s\n", what.c_str());
  std::abort();
}

template <class F>
void read_or_refuse(F&& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() == ExitCode::internal) fault(error.what());
  }
}

}  // namespace longsight::fuzz
