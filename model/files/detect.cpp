#include "model/files/detect.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include <fmt/ranges.h>

namespace longsight::model {
namespace {

enum class Side { vision, projection, language };

using Words = std::vector<std::string>;

Words split(const std::string& name) {
  Words words;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = name.find('.', begin);
    words.push_back(name.substr(begin, end - begin));
    if (end == std::string::npos) return words;
    begin = end + 1;
  }
}

std::string joined(const Words& words, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ".") + words[i];
  return text;
}

std::optional<i64> number_in(const std::string& word) {
  i64 value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < 0) return {};
  return value;
}

template <std::size_t N>
bool one_of(const std::string& word, const std::array<const char*, N>& known) {
  return std::find(known.begin(), known.end(), word) != known.end();
}

template <std::size_t N>
bool any_word(const Words& words, const std::array<const char*, N>& known) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return one_of(word, known); });
}

// Words of the names that Hugging Face families use. A merger lies inside `visual`, so projection is looked
// for first.
constexpr std::array kProjectionWords{
    "multi_modal_projector", "mm_projector", "connector", "projector", "mlp1", "merger",
    "modality_projection"};
constexpr std::array kVisionWords{"vision_tower",  "vision_model", "visual", "vision_encoder",
                                  "image_encoder", "vision",       "vit"};
constexpr std::array kBlockLists{"layers", "layer", "blocks", "block", "h", "resblocks"};
constexpr std::array kAttentionWords{"self_attn", "self_attention", "attn", "attention"};
constexpr std::array kQueryWeights{"q_proj",          "query",  "qkv",      "wqkv",
                                   "query_key_value", "c_attn", "qkv_proj", "wq"};
constexpr std::array kMlpWords{"mlp", "feed_forward", "ffn", "intermediate", "output"};
constexpr std::array kHeadWords{"lm_head", "output", "embed_out"};
constexpr std::array kPatchWords{"patch_embed", "patch_embedding", "patch_embeddings"};
constexpr std::array kEmbeddingWords{"embed_tokens", "tok_embeddings",  "wte",
                                     "embeddings",   "class_embedding", "cls_token"};

// "lambda_1", "ls1": scales of a block's two branches.
bool norm_like(const std::string& word) {
  for (const char* part : {"norm", "ln_", "ln1", "ln2"}) {
    if (word.find(part) != std::string::npos) return true;
  }
  return one_of(word, std::array{"lambda_1", "lambda_2", "ls1", "ls2"});
}

// Where one tensor belongs.
struct Place {
  Side side = Side::language;
  ModuleKind kind = ModuleKind::other;
  std::string module;  // {} stands for the block's number
  std::optional<i64> block;
  std::string weight;  // the last part of the module's own: "q_proj"
};

// The word whose follower is a block's number: "layers" in layers.3.self_attn; nothing in mlp.0.weight.
std::optional<std::size_t> block_list(const Words& words) {
  for (std::size_t i = 0; i + 2 < words.size(); ++i) {
    if (one_of(words[i], kBlockLists) && number_in(words[i + 1])) return i;
  }
  return {};
}

Side side_of(const Words& words) {
  if (any_word(words, kProjectionWords)) return Side::projection;
  return any_word(words, kVisionWords) ? Side::vision : Side::language;
}

Place place_of(const std::string& name) {
  Words words = split(name);
  Place place{.side = side_of(words), .kind = ModuleKind::other, .module = {}, .block = {}, .weight = {}};
  if (words.back() == "weight" || words.back() == "bias") words.pop_back();
  if (words.empty()) return place;
  const auto list = block_list(words);
  if (list) {
    place.block = number_in(words[*list + 1]);
    words[*list + 1] = "{}";
  }
  const auto module = [&](ModuleKind kind, std::size_t length) {
    place.kind = kind;
    place.module = joined(words, length);
    place.weight = length < words.size() ? words.back() : "";
    return place;
  };
  if (place.side == Side::projection) {
    // Up to and including the word that names it.
    const auto at = std::find_if(words.begin(), words.end(),
                                 [](const std::string& w) { return one_of(w, kProjectionWords); });
    Place result = module(ModuleKind::projection, static_cast<std::size_t>(at - words.begin()) + 1);
    result.block = {};
    return result;
  }
  if (list) {
    const std::size_t inside = *list + 2;  // the first word of the block's own
    for (std::size_t i = inside; i < words.size(); ++i) {
      if (one_of(words[i], kAttentionWords)) {
        // Norms of q and k belong to their attention.
        const std::size_t end = i + 1 < words.size() && one_of(words[i + 1], kAttentionWords) ? i + 2 : i + 1;
        return module(
            place.side == Side::vision ? ModuleKind::vision_attention : ModuleKind::language_attention, end);
      }
    }
    if (one_of(words[inside], kMlpWords)) return module(ModuleKind::mlp, inside + 1);
    if (norm_like(words[inside])) return module(ModuleKind::norm, inside + 1);
    return module(ModuleKind::other, words.size());
  }
  if (norm_like(words.back())) return module(ModuleKind::norm, words.size());
  if (place.side == Side::language && one_of(words.back(), kHeadWords))
    return module(ModuleKind::head, words.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (one_of(words[i], kEmbeddingWords) || one_of(words[i], kPatchWords) ||
        words[i].starts_with("position_embedding")) {
      return module(ModuleKind::embedding, i + 1);
    }
  }
  return module(ModuleKind::other, words.size());
}

// ---- modules

struct Member {
  const NamedShape* tensor;
  Place place;
};

using Modules = std::map<std::string, std::vector<Member>>;  // by module name with {}

std::string numbers_text(const std::set<i64>& numbers) {
  std::string text;
  for (auto first = numbers.begin(); first != numbers.end();) {
    auto last = first;
    while (std::next(last) != numbers.end() && *std::next(last) == *last + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", *first);
    if (*last > *first) text += fmt::format("-{}", *last);
    first = std::next(last);
  }
  return "{" + text + "}";
}

std::set<i64> blocks_of(const std::vector<Member>& members) {
  std::set<i64> blocks;
  for (const Member& m : members) {
    if (m.place.block) blocks.insert(*m.place.block);
  }
  return blocks;
}

std::string with_number(std::string module, const std::string& number) {
  const std::size_t at = module.find("{}");
  return at == std::string::npos ? module : module.replace(at, 2, number);
}

std::vector<std::string> weights_of(const std::vector<Member>& members) {
  std::vector<std::string> weights;
  for (const Member& m : members) {
    if (!m.place.weight.empty() && std::find(weights.begin(), weights.end(), m.place.weight) == weights.end())
      weights.push_back(m.place.weight);
  }
  return weights;
}

bool is_attention(ModuleKind kind) {
  return kind == ModuleKind::vision_attention || kind == ModuleKind::language_attention;
}

// Every block between the first and the last has its attention, with the same weights.
void check_complete(const std::string& module, const std::vector<Member>& members, const std::string& where) {
  std::map<i64, std::set<std::string>> by_block;
  std::map<std::string, std::string> suffix;  // of the tensor with this weight: ".weight"
  for (const Member& m : members) {
    const std::size_t at = m.tensor->name.rfind('.');
    const std::string end = m.tensor->name.substr(at);
    if (end == ".bias" || !m.place.block) continue;
    by_block[*m.place.block].insert(m.place.weight);
    suffix[m.place.weight] = end == ".weight" ? end : "";
  }
  if (by_block.empty()) return;
  for (i64 block = 0; block <= by_block.rbegin()->first; ++block) {
    for (const auto& [weight, end] : suffix) {
      require(by_block[block].contains(weight), ExitCode::bad_data,
              "{}{}.{}{} is missing: other blocks have one", where,
              with_number(module, std::to_string(block)), weight, end);
    }
  }
}

Modules collect(std::span<const NamedShape> tensors) {
  Modules modules;
  for (const NamedShape& tensor : tensors) {
    Member member{&tensor, place_of(tensor.name)};
    modules[member.place.module].push_back(std::move(member));
  }
  // What is called attention but projects no queries is something else: an output layer beside it, a pooling
  // head.
  for (auto& [name, members] : modules) {
    const bool queries = std::any_of(members.begin(), members.end(),
                                     [](const Member& m) { return one_of(m.place.weight, kQueryWeights); });
    if (queries) continue;
    for (Member& m : members) {
      if (is_attention(m.place.kind)) m.place.kind = ModuleKind::other;
    }
  }
  return modules;
}

std::vector<DetectedModule> described(const Modules& modules, const std::string& where) {
  struct Ordered {
    std::array<int, 2> key;
    DetectedModule module;
  };
  std::vector<Ordered> all;
  for (const auto& [name, members] : modules) {
    const Place& place = members.front().place;
    const std::set<i64> blocks = blocks_of(members);
    DetectedModule m;
    m.kind = place.kind;
    m.name = with_number(name, numbers_text(blocks));
    m.blocks = static_cast<i64>(blocks.size());
    for (const Member& member : members) m.elements += member.tensor->shape.elements();
    m.weights = fmt::format("{}", fmt::join(weights_of(members), " "));
    if (is_attention(m.kind)) check_complete(name, members, where);
    const int rank = m.kind == ModuleKind::embedding ? -1 : static_cast<int>(m.kind);
    const bool rest = m.kind == ModuleKind::norm || m.kind == ModuleKind::other;
    all.push_back({{rest ? 3 : static_cast<int>(place.side), rank}, std::move(m)});
  }
  std::stable_sort(all.begin(), all.end(), [](const Ordered& a, const Ordered& b) { return a.key < b.key; });
  std::vector<DetectedModule> result;
  for (Ordered& o : all) result.push_back(std::move(o.module));
  return result;
}

// ---- against the configuration

struct Expected {
  ModuleKind kind;
  const char* tower;
  i64 blocks, heads, kv_heads, head_width;
  const BlockNames& names;
};

// "q_proj" of "self_attn.q_proj": the same in names of every generation.
std::string last_word(const std::string& name) {
  return name.substr(name.rfind('.') + 1);
}

void check_rows(const Member& m, const Expected& e, const std::string& where) {
  const std::string& weight = m.place.weight;
  if (m.tensor->shape.rank() == 0) return;
  const i64 rows = m.tensor->shape[0], d = e.head_width;
  const auto must_be = [&](i64 wanted, const char* what) {
    require(rows == wanted, ExitCode::bad_data, "{}{} has {} rows, but the configuration's {} make {}", where,
            m.tensor->name, rows, what, wanted);
  };
  const auto is = [&](const std::string& name) { return !name.empty() && weight == last_word(name); };
  const BlockNames& n = e.names;
  if (is(n.q)) must_be(e.heads * d, "query heads");
  if (is(n.k) || is(n.v)) must_be(e.kv_heads * d, "key-value heads");
  if (is(n.qkv)) must_be((e.heads + 2 * e.kv_heads) * d, "heads");
}

void check_tower(const Modules& modules, const Expected& e, const std::string& where) {
  for (const auto& [name, members] : modules) {
    if (members.front().place.kind != e.kind) continue;
    const std::set<i64> blocks = blocks_of(members);
    const i64 count = static_cast<i64>(blocks.size());
    if (count > e.blocks) {
      const auto extra = std::find_if(members.begin(), members.end(),
                                      [&](const Member& m) { return m.place.block >= e.blocks; });
      fail(ExitCode::bad_data, "{}{}: the configuration has {} {} blocks", where, extra->tensor->name,
           e.blocks, e.tower);
    }
    if (count < e.blocks) {
      const auto weight = std::find_if(members.begin(), members.end(),
                                       [](const Member& m) { return m.tensor->name.ends_with(".weight"); });
      const Member& first = weight == members.end() ? members.front() : *weight;
      const std::string tail =
          first.tensor->name.substr(with_number(name, std::to_string(*first.place.block)).size());
      fail(ExitCode::bad_data, "{}{}{} is missing: the configuration has {} {} blocks", where,
           with_number(name, std::to_string(count)), tail, e.blocks, e.tower);
    }
    for (const Member& m : members) check_rows(m, e, where);
    return;
  }
  require(e.blocks == 0, ExitCode::bad_data,
          "{}no {} attention among the tensors, but the configuration has {} blocks", where, e.tower,
          e.blocks);
}

}  // namespace

std::vector<NamedShape> named_shapes(const io::SafetensorsSet& set) {
  std::vector<NamedShape> shapes;
  for (const io::TensorEntry& entry : set.entries()) shapes.push_back({entry.name, entry.shape});
  return shapes;
}

std::vector<NamedShape> named_shapes(const ParameterRegistry& registry) {
  std::vector<NamedShape> shapes;
  for (const Parameter& parameter : registry.all()) {
    if (!parameter.adapter) shapes.push_back({parameter.name, parameter.shape});
  }
  return shapes;
}

std::vector<DetectedModule> detect_modules(std::span<const NamedShape> tensors) {
  return described(collect(tensors), "");
}

std::vector<DetectedModule> detect_modules(std::span<const NamedShape> tensors, const ModelConfig& config,
                                           const std::string& path) {
  const VisionConfig& v = config.vision;
  const TextConfig& t = config.text;
  const std::string where = path.empty() ? "" : path + ": ";
  const Modules modules = collect(tensors);
  std::vector<DetectedModule> result = described(modules, where);
  for (const Expected& e : {Expected{ModuleKind::vision_attention, "vision", v.layers, v.heads, v.heads,
                                     v.head_width(), v.names.block},
                            Expected{ModuleKind::language_attention, "language", t.layers, t.heads,
                                     t.kv_heads, t.head_width, t.names.block}}) {
    check_tower(modules, e, where);
    for (DetectedModule& m : result) {
      if (m.kind != e.kind) continue;
      m.heads = e.heads;
      m.kv_heads = e.kv_heads;
    }
  }
  return result;
}

std::string module_table(std::span<const DetectedModule> modules) {
  std::size_t kind = 0, name = 0;
  for (const DetectedModule& m : modules) {
    kind = std::max(kind, std::string_view(name_of(m.kind)).size());
    name = std::max(name, m.name.size());
  }
  std::string text;
  for (const DetectedModule& m : modules) {
    std::string line =
        fmt::format("{:<{}}  {:<{}}  {:>12} elements", name_of(m.kind), kind, m.name, name, m.elements);
    if (m.heads > 0) line += fmt::format("  {} heads, {} of keys and values", m.heads, m.kv_heads);
    if (!m.weights.empty()) line += "  " + m.weights;
    text += line + "\n";
  }
  return text;
}

const char* name_of(ModuleKind kind) {
  switch (kind) {
    case ModuleKind::vision_attention:
      return "vision_attention";
    case ModuleKind::language_attention:
      return "language_attention";
    case ModuleKind::projection:
      return "projection";
    case ModuleKind::mlp:
      return "mlp";
    case ModuleKind::embedding:
      return "embedding";
    case ModuleKind::head:
      return "head";
    case ModuleKind::norm:
      return "norm";
    case ModuleKind::other:
      return "other";
  }
  return "?";
}

}  // namespace longsight::model
