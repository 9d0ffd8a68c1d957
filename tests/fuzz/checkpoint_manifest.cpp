// A checkpoint's manifest.json: as it is, and behind a hash that is right, as a stranger would put it there.
#include "parallel/checkpoint/manifest.h"
#include "runtime/base/stream_hash.h"
#include "tests/fuzz/targets.h"

void longsight::fuzz::checkpoint_manifest(Bytes bytes) {
  const std::string text(text_of(bytes));
  read_or_refuse([&] { parallel::parse_manifest(text, "m"); });
  // The seeds have the line with the hash, of which nothing is kept.
  const std::string body = text.substr(text.find('\n') + 1);
  read_or_refuse([&] {
    const parallel::Manifest manifest =
        parallel::parse_manifest("{\"hash\": \"" + wide_hash(body) + "\",\n" + body, "m");
    // What was read is what would be written.
    const std::string written = parallel::manifest_text(manifest);
    if (parallel::manifest_text(parallel::parse_manifest(written, "m")) != written) fault("another manifest");
  });
}
