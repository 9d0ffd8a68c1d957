#include "runtime/data/image/formats/picture_warnings.h"

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "runtime/base/log.h"

namespace longsight::data {
namespace {

const char* name_of(PictureWarning kind) {
  switch (kind) {
    case PictureWarning::damaged:
      return "are damaged, but can be opened";
    case PictureWarning::transparent:
      return "have transparent parts that show the colours stored there";
    case PictureWarning::saturated:
      return "have gray values above 255, which became white";
    case PictureWarning::large:
      return "are very large";
  }
  return "";
}

class Counts {
 public:
  ~Counts() {
    for (const auto& [kind, names] : names_)
      if (names.size() > 1) log_warn("{} pictures {}", names.size(), name_of(kind));
  }
  void add(PictureWarning kind, std::string_view name, std::string_view what) {
    const std::lock_guard lock(mutex_);
    auto& names = names_[kind];
    names.insert(std::hash<std::string_view>{}(name));
    if (names.size() == 1 && said_.insert(kind).second) {
      log_warn("{}: {}; further pictures of this kind are counted", name, what);
    }
  }

 private:
  std::mutex mutex_;
  std::map<PictureWarning, std::set<std::size_t>> names_;  // hashes
  std::set<PictureWarning> said_;
};

}  // namespace

std::function<void(PictureWarning, std::string_view, std::string_view)> counted_picture_warnings() {
  return [counts = std::make_shared<Counts>()](PictureWarning kind, std::string_view name,
                                               std::string_view what) { counts->add(kind, name, what); };
}

}  // namespace longsight::data
