#include "runtime/data/text/vocab_files.h"

#include <algorithm>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/data/text/added_tokens_json.h"
#include "runtime/data/text/tokenizer.h"
#include "runtime/data/text/tokenizer_json.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVocab = "vocab.json";
constexpr const char* kMerges = "merges.txt";

// Of transformers' tokenization_qwen2.py.
constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

enum class VocabKind { qwen2, gpt2 };

// "qwen2_5_vl" begins with "qwen2"; every Qwen from 2 on has the tokenizer of Qwen2.
VocabKind kind_of(const fs::path& folder, const Json& config) {
  const Json* given = present(config, "tokenizer_class");
  const std::string name = given == nullptr ? "" : text_member(config, "tokenizer_class", folder.string());
  if (name == "Qwen2Tokenizer" || name == "Qwen2TokenizerFast") return VocabKind::qwen2;
  if (name == "GPT2Tokenizer" || name == "GPT2TokenizerFast") return VocabKind::gpt2;
  std::string type;
  if (const fs::path file = folder / "config.json"; name.empty() && fs::exists(file))
    type = named_token(read_json_file(file.string()), "model_type").value_or("");
  if (type.starts_with("qwen2") || type.starts_with("qwen3")) return VocabKind::qwen2;
  if (type == "gpt2") return VocabKind::gpt2;
  fail(ExitCode::bad_data,
       "{}: {} and {} without tokenizer.json are read for the tokenizer classes Qwen2Tokenizer and "
       "GPT2Tokenizer, and this is {}; transformers writes a tokenizer.json: "
       "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
       folder.string(), kVocab, kMerges, name.empty() ? "of a class that no file names" : name);
}

// A merge in each line: "Ġ t". A first line "#version: .." is none.
Json read_merges(const std::string& path) {
  const std::string text = read_whole_file(path, i64{1} << 30, ExitCode::bad_data);
  Json merges = Json::array();
  i64 number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const std::size_t space = line.find(' ');
    require(space != std::string::npos && space > 0 && line.find(' ', space + 1) == std::string::npos,
            ExitCode::bad_data, "{}:{}: {} is not a pair of pieces", path, number,
            json_text(Json(line.substr(0, 80))));
    merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return merges;
}

// added_tokens_decoder decides where there is one; added_tokens.json, of older versions, has to agree with
// it.
Json added_of_files(const fs::path& folder, const Json& config) {
  const std::vector<Json> special = special_tokens(config);
  Json added = Json::array();
  const Json* decoder = present(config, "added_tokens_decoder");
  Json by_id = decoder != nullptr && decoder->is_object() ? *decoder : Json::object();
  const std::string file = (folder / "added_tokens.json").string();
  if (fs::exists(file)) {
    const Json json = read_json_file(file);
    require(json.is_object(), ExitCode::bad_data, "{}: not a JSON object", file);
    for (const auto& [token, id] : json.items()) {
      require(id.is_number_integer() && id.get<i64>() >= 0, ExitCode::bad_data,
              "{}: {}: {} is not a token id", file, Json(token).dump(), id.dump());
      const std::string key = id.dump();
      const bool known = by_id.contains(key);
      const Json content = known && by_id[key].is_object() ? by_id[key].value("content", Json()) : Json();
      require(decoder == nullptr || (known && content == token), ExitCode::bad_data,
              "{}: {} has the id {}, but added_tokens_decoder in tokenizer_config.json gives that id to {}",
              file, Json(token).dump(), key, known ? content.dump() : "no token");
      if (decoder != nullptr) continue;
      const bool is_special = std::any_of(special.begin(), special.end(), [&text = token](const Json& one) {
        return member_of(one, "content") == text;
      });
      by_id[key] = {{"content", token}, {"normalized", false}, {"special", is_special}};
    }
  }
  // In the order of ids, not of their digits.
  std::vector<std::pair<i64, Json>> sorted;
  for (const auto& [key, entry] : by_id.items()) {
    i64 id = -1;
    try {
      id = std::stoll(key);
    } catch (const std::exception&) {
      continue;  // the reader of added_tokens_decoder says so
    }
    if (entry.is_object()) sorted.emplace_back(id, entry);
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [id, entry] : sorted) {
    text_member(entry, "content", file);
    entry["id"] = id;
    added.push_back(std::move(entry));
  }
  return added;
}

}  // namespace

bool has_vocab_files(const fs::path& folder) {
  return fs::exists(folder / kVocab) || fs::exists(folder / kMerges);
}

VocabFiles read_vocab_files(const fs::path& folder) {
  for (const char* name : {kVocab, kMerges}) {
    require(fs::exists(folder / name), ExitCode::missing_input,
            "{} is not there: a tokenizer without tokenizer.json is {} and {}", (folder / name).string(),
            kVocab, kMerges);
  }
  VocabFiles files{.tokenizer = Json::object(), .config = read_tokenizer_config(folder)};
  Json& config = files.config;
  const bool qwen2 = kind_of(folder, config) == VocabKind::qwen2;
  for (const char* role : {"eos_token", "unk_token", qwen2 ? "pad_token" : "bos_token"}) {
    if (!config.contains(role)) config[role] = "<|endoftext|>";
  }
  const Json vocab = read_json_file((folder / kVocab).string());
  require(vocab.is_object(), ExitCode::bad_data, "{}: not a JSON object", (folder / kVocab).string());
  const bool prefix = flag(config, "add_prefix_space", false, folder.string());
  Json bytes{{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"use_regex", !qwen2}};
  Json& t = files.tokenizer;
  if (qwen2) {
    t["normalizer"] = {{"type", "NFC"}};
    const Json split{{"type", "Split"},
                     {"pattern", {{"Regex", kQwen2Pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}};
    t["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}};
  } else {
    t["pre_tokenizer"] = bytes;
  }
  t["decoder"] = {{"type", "ByteLevel"}};
  t["model"] = {{"type", "BPE"}, {"vocab", vocab}, {"merges", read_merges((folder / kMerges).string())}};
  t["added_tokens"] = added_of_files(folder, config);
  return files;
}

}  // namespace longsight::data
