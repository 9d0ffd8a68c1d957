// Tokenizers: they are refused, or encode any text and decode what they have encoded.
#include "runtime/data/text/tokenizer.h"
#include "tests/fuzz/targets.h"
#include "tests/support/scratch_folder.h"

namespace longsight::fuzz {
namespace {

void use(const ScratchFolder& folder) {
  read_or_refuse([&] {
    const auto tokenizer = data::read_tokenizer(folder.path());
    data::EncodeCache cache;
    for (const char* text : {"", "Hello  world<image>\n", "\u65e5\u672c e\u0301 \u2581x 12 don't</s>"}) {
      read_or_refuse([&] {
        const data::Encoding encoded = tokenizer->encode(text, cache);
        if (encoded.ids.size() != encoded.spans.size()) fault("spans without ids");
        tokenizer->decode(encoded.ids, false);
      });
    }
  });
}

}  // namespace

void tokenizer_json(Bytes bytes) {
  static const ScratchFolder folder;
  folder.write("tokenizer.json", text_of(bytes));
  use(folder);
}

void sentencepiece(Bytes bytes) {
  static const ScratchFolder folder;
  folder.write("tokenizer.model", text_of(bytes));
  use(folder);
}

}  // namespace longsight::fuzz
