#include "runtime/data/text/bpe_learn.h"

#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <unordered_map>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/data/text/byte_alphabet.h"
#include "runtime/data/text/pattern_scan.h"
#include "runtime/data/text/unicode.h"
#include "runtime/io/atomic_file.h"

namespace longsight::data {
namespace {

using Pair = std::pair<i64, i64>;
using OrderedJson = nlohmann::ordered_json;

struct PairHash {
  std::size_t operator()(const Pair& pair) const {
    return (static_cast<std::size_t>(pair.first) << 32 ^ static_cast<std::size_t>(pair.second)) *
           0x9E3779B97F4A7C15u;
  }
};

// Words with their frequency, sorted, so that the order of the texts does not matter.
std::map<std::string, i64> count_words(std::span<const std::string> texts,
                                       std::span<const std::string> special_tokens) {
  std::map<std::string, i64> words;
  std::vector<i64> ends;
  const auto count = [&](std::string_view part) {
    ends.clear();
    scan(Pattern::gpt2, part, ends);
    i64 begin = 0;
    for (const i64 end : ends) {
      ++words[std::string(
          part.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)))];
      begin = end;
    }
  };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const i64 bad = first_invalid_utf8(texts[i]);
    require(bad < 0, ExitCode::bad_data, "text {} is not UTF-8 at byte {}", i, bad);
    std::string_view rest = texts[i];
    while (!rest.empty()) {
      // The first special token, of several at one place the longest.
      std::size_t at = std::string_view::npos, length = 0;
      for (const std::string& token : special_tokens) {
        const std::size_t found = rest.find(token);
        if (found < at || (found == at && found != std::string_view::npos && token.size() > length)) {
          at = found;
          length = token.size();
        }
      }
      count(rest.substr(0, at));
      rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + length);
    }
  }
  return words;
}

struct Word {
  std::vector<i64> symbols;
  i64 count = 0;
};

// Pairs, how often they occur, and in which words (some of them perhaps no longer).
class PairTable {
 public:
  explicit PairTable(const std::vector<Word>& words) {
    for (std::size_t w = 0; w < words.size(); ++w) change(words[w], w, +1);
    for (const auto& [pair, entry] : pairs_) queue_.push({entry.count, pair});
  }

  // The most frequent pair, taken out of the queue; count 0 if there is none.
  std::pair<i64, Pair> best() {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      const i64 count = pairs_[top.pair].count;
      if (count == top.count && count > 0) return {count, top.pair};
      if (count > 0 && count < top.count) queue_.push({count, top.pair});  // it lost some since it was queued
    }
    return {0, {0, 0}};
  }

  std::vector<std::size_t> words_with(const Pair& pair) {
    std::vector<std::size_t> words = std::move(pairs_[pair].words);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    return words;
  }

  void change(const Word& word, std::size_t index, i64 sign) {
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      const Pair pair{word.symbols[i], word.symbols[i + 1]};
      Entry& entry = pairs_[pair];
      entry.count += sign * word.count;
      if (sign > 0 && (entry.words.empty() || entry.words.back() != index)) entry.words.push_back(index);
    }
  }

  void queue(const std::set<Pair>& grown) {
    for (const Pair& pair : grown) {
      if (const i64 count = pairs_[pair].count; count > 0) queue_.push({count, pair});
    }
  }

 private:
  struct Entry {
    i64 count = 0;
    std::vector<std::size_t> words;
  };
  struct Candidate {
    i64 count;
    Pair pair;
    bool operator<(const Candidate& o) const { return count != o.count ? count < o.count : pair > o.pair; }
  };
  std::unordered_map<Pair, Entry, PairHash> pairs_;
  std::priority_queue<Candidate> queue_;
};

void merge(Word& word, const Pair& pair, i64 result) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < word.symbols.size(); ++i) {
    const bool here =
        word.symbols[i] == pair.first && i + 1 < word.symbols.size() && word.symbols[i + 1] == pair.second;
    word.symbols[out++] = here ? result : word.symbols[i];
    i += here;
  }
  word.symbols.resize(out);
}

// Without the search for an equal key that the usual insertion into an ordered object makes.
void append(OrderedJson& object, std::string key, OrderedJson value) {
  object.get_ref<OrderedJson::object_t&>().push_back({std::move(key), std::move(value)});
}

OrderedJson added_token(const std::string& content) {
  return {{"content", content}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false},    {"normalized", false},  {"special", true}};
}

}  // namespace

BpeVocabulary learn_bpe(std::span<const std::string> texts, i64 vocab_size,
                        std::span<const std::string> special_tokens) {
  BpeVocabulary result;
  result.special_tokens = static_cast<i64>(special_tokens.size());
  for (const std::string& token : special_tokens) {
    require(!token.empty() && first_invalid_utf8(token) < 0, ExitCode::usage,
            "a special token is empty or not UTF-8");
    require(std::find(result.tokens.begin(), result.tokens.end(), token) == result.tokens.end(),
            ExitCode::usage, "the special token {} is given twice", token);
    result.tokens.push_back(token);
  }
  require(vocab_size >= result.special_tokens + 256, ExitCode::usage,
          "a vocabulary of {} tokens has no room for 256 bytes and {} special tokens", vocab_size,
          special_tokens.size());

  // The bytes in the order of the code points of their letters.
  std::vector<std::pair<char32_t, int>> letters;
  for (int byte = 0; byte < 256; ++byte) {
    letters.emplace_back(code_point(to_alphabet(std::string(1, static_cast<char>(byte))).data()).value, byte);
  }
  std::sort(letters.begin(), letters.end());
  std::vector<i64> byte_ids(256);
  for (const auto& [letter, byte] : letters) {
    byte_ids[static_cast<std::size_t>(byte)] = static_cast<i64>(result.tokens.size());
    result.tokens.push_back(to_alphabet(std::string(1, static_cast<char>(byte))));
  }
  std::set<std::string> known(result.tokens.begin(), result.tokens.end());
  require(known.size() == result.tokens.size(), ExitCode::usage,
          "a special token is a single letter of the byte alphabet");

  std::vector<Word> words;
  for (const auto& [text, count] : count_words(texts, special_tokens)) {
    Word word{.symbols = {}, .count = count};
    for (const char byte : text) word.symbols.push_back(byte_ids[static_cast<unsigned char>(byte)]);
    words.push_back(std::move(word));
  }
  PairTable pairs(words);
  while (static_cast<i64>(result.tokens.size()) < vocab_size) {
    const auto [count, pair] = pairs.best();
    if (count == 0) break;
    const std::string piece = result.tokens[static_cast<std::size_t>(pair.first)] +
                              result.tokens[static_cast<std::size_t>(pair.second)];
    // Two ways to the same piece: it keeps its id, and the second way is a merge too.
    i64 id = static_cast<i64>(result.tokens.size());
    if (known.insert(piece).second) {
      result.tokens.push_back(piece);
    } else {
      id = std::find(result.tokens.begin(), result.tokens.end(), piece) - result.tokens.begin();
    }
    result.merges.push_back(pair);
    std::set<Pair> grown;
    for (const std::size_t w : pairs.words_with(pair)) {
      Word& word = words[w];
      pairs.change(word, w, -1);
      merge(word, pair, id);
      pairs.change(word, w, +1);
      for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
        if (word.symbols[i] == id || word.symbols[i + 1] == id)
          grown.insert({word.symbols[i], word.symbols[i + 1]});
      }
    }
    pairs.queue(grown);
  }
  return result;
}

void write_tokenizer(const std::string& folder, const BpeVocabulary& vocabulary,
                     const TokenizerRoles& roles) {
  const auto special_end = vocabulary.tokens.begin() + vocabulary.special_tokens;
  OrderedJson names = OrderedJson::object();
  for (const auto& [key, token] : {std::pair("bos_token", roles.bos), std::pair("eos_token", roles.eos),
                                   std::pair("unk_token", roles.unk), std::pair("pad_token", roles.pad)}) {
    if (token.empty()) continue;
    require(std::find(vocabulary.tokens.begin(), special_end, token) != special_end, ExitCode::usage,
            "{} {} is not among the special tokens", key, token);
    names[key] = token;
  }
  require(!roles.add_bos || !roles.bos.empty(), ExitCode::usage, "add_bos needs a bos token");

  OrderedJson vocab = OrderedJson::object(), merges = OrderedJson::array(), added = OrderedJson::array();
  OrderedJson decoder_tokens = OrderedJson::object();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    append(vocab, vocabulary.tokens[id], id);
    if (static_cast<i64>(id) >= vocabulary.special_tokens) continue;
    OrderedJson token = {{"id", id}};
    token.update(added_token(vocabulary.tokens[id]));
    added.push_back(token);
    append(decoder_tokens, std::to_string(id), added_token(vocabulary.tokens[id]));
  }
  for (const auto& [left, right] : vocabulary.merges) {
    merges.push_back({vocabulary.tokens[static_cast<std::size_t>(left)],
                      vocabulary.tokens[static_cast<std::size_t>(right)]});
  }

  const OrderedJson byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  OrderedJson processor = byte_level;
  processor["trim_offsets"] = false;
  if (roles.add_bos) {
    const OrderedJson bos = {{"SpecialToken", {{"id", roles.bos}, {"type_id", 0}}}};
    const auto part = [](const char* id, int type) {
      return OrderedJson{{"Sequence", {{"id", id}, {"type_id", type}}}};
    };
    const auto id = std::find(vocabulary.tokens.begin(), special_end, roles.bos) - vocabulary.tokens.begin();
    OrderedJson bos_token = {{"id", roles.bos}, {"ids", {id}}, {"tokens", {roles.bos}}};
    processor = {{"type", "TemplateProcessing"},
                 {"single", {bos, part("A", 0)}},
                 {"pair", {bos, part("A", 0), bos, part("B", 1)}},
                 {"special_tokens", {{roles.bos, bos_token}}}};
  }
  const OrderedJson tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor", processor},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocab},
        {"merges", merges}}},
  };
  OrderedJson config = {{"added_tokens_decoder", decoder_tokens}};
  config.update(names);
  if (!roles.chat_template.empty()) config["chat_template"] = roles.chat_template;
  config["clean_up_tokenization_spaces"] = false;
  config["model_max_length"] = 1'000'000'000;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  const auto write = [&folder](const char* name, const OrderedJson& json) {
    io::write_file(folder + "/" + name, json_text(json, 2) + "\n");
  };
  // Processors look for the template in a file of its own, tokenizers also in their config.
  if (!roles.chat_template.empty()) io::write_file(folder + "/chat_template.jinja", roles.chat_template);
  write("tokenizer.json", tokenizer);
  write("tokenizer_config.json", config);
  write("special_tokens_map.json", names);
}

}  // namespace longsight::data
