#include "launch/samples/data_files.h"

#include <map>

#include <unistd.h>

#include "launch/progress.h"
#include "parallel/groups/self_group.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

constexpr i64 kMiB = i64{1} << 20;
constexpr i64 kLarge = 64 * kMiB;  // packed; smaller ones take a second or two

InputFile unpack_with_progress(const std::string& path) {
  std::unique_ptr<Progress> shown;  // once the size is known
  return open_unpacked(path, [&](i64 done, i64 total) {
    if (total < kLarge) return;
    if (!shown) shown = std::make_unique<Progress>("unpacking " + path, total / kMiB, true);
    shown->update(done / kMiB, "MiB,");
  });
}

// What the first rank of a node says of a file to the others: where it is open, or what is wrong with it.
struct Said {
  i64 process = 0;
  int descriptor = -1;
  FileIdentity identity = {};  // a process of another container can have the same number
  ExitCode code = ExitCode::done;
  std::string problem = {};

  std::string text() const {
    return json_text(
        Json{process, descriptor, identity.device, identity.inode, static_cast<int>(code), problem});
  }
  static Said of(const std::string& text) {
    const Json j = Json::parse(text);
    return {j[0].get<i64>(),
            j[1].get<int>(),
            {j[2].get<u64>(), j[3].get<u64>()},
            static_cast<ExitCode>(j[4].get<int>()),
            j[5].get<std::string>()};
  }
};

// What the first rank has unpacked. A second look at a file (what kind of data is it?) unpacks nothing.
class Unpacked {
 public:
  Said say(const std::string& path) {
    try {
      auto file = files_.find(path);
      if (file == files_.end()) file = files_.emplace(path, unpack_with_progress(path)).first;
      return {::getpid(), file->second.descriptor(), file->second.identity()};
    } catch (const Error& error) {
      return {.code = error.code(), .problem = error.what()};
    }
  }

 private:
  std::map<std::string, InputFile> files_;
};

struct Packed {
  FileIdentity file;
  bool gzip = false;
};

InputFile open_shared(const std::string& path, Unpacked& unpacked, parallel::ProcessGroup& node,
                      Stream stream) {
  InputFile file(path);
  const Packed mine{file.identity(), is_gzip(file)};
  // Ranks may work in folders of their own, and have another file under this name. That is found later, and
  // must not leave one of them waiting here.
  const std::vector<Packed> of_ranks = node.all_gather(mine, stream, "packed file");
  if (!of_ranks.front().gzip) return mine.gzip ? unpack_with_progress(path) : std::move(file);
  const std::string text = node.rank() == 0 ? unpacked.say(path).text() : "";
  const Said said = Said::of(node.all_gather(text, stream, "unpacked file").front());
  require(said.code == ExitCode::done, said.code, "{}", said.problem);
  if (mine.file != of_ranks.front().file) return mine.gzip ? unpack_with_progress(path) : std::move(file);
  std::string why;
  if (auto shared = InputFile::of_process(path, said.process, said.descriptor, why)) {
    if (shared->identity() == said.identity) return std::move(*shared);
    why = "that process is another one here";
  }
  log_warn("{}: what another rank of this node has unpacked cannot be read here ({}): it is unpacked again",
           path, why);
  return unpack_with_progress(path);
}

}  // namespace

OpenFile open_on_node(parallel::ProcessGroup& node, Stream stream) {
  // Kept open as long as files are opened: others find it through this process.
  return [unpacked = std::make_shared<Unpacked>(), &node, stream](const std::string& path) {
    return open_shared(path, *unpacked, node, stream);
  };
}

OpenFile open_alone() {
  return [unpacked = std::make_shared<Unpacked>(), self = std::make_shared<parallel::SelfGroup>()](
             const std::string& path) { return open_shared(path, *unpacked, *self, {}); };
}

}  // namespace longsight::launch
