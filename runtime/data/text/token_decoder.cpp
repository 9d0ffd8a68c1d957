#include "runtime/data/text/token_decoder.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "runtime/data/text/byte_alphabet.h"
#include "runtime/data/text/normalize.h"
#include "runtime/data/text/tokenizer_json.h"

namespace longsight::data {
namespace {

std::string joined(const std::vector<std::string>& tokens, std::string_view between = "") {
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) text += between;
    text += tokens[i];
  }
  return text;
}

// "<0x0A>" -> 10
std::optional<char> byte_of(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

}  // namespace

TokenDecoder TokenDecoder::byte_level() {
  TokenDecoder decoder;
  decoder.steps_.emplace_back(ByteLevel{});
  return decoder;
}

TokenDecoder::TokenDecoder(const Json& description, const std::string& source) {
  add(description, source + ": decoder");
}

void TokenDecoder::add(const Json& description, const std::string& where) {
  const std::string type = type_of(description, where);
  if (type == "Sequence") {
    for (const Json& part : members_of(description, "decoders", where)) add(part, where);
  } else if (type == "ByteLevel") {
    steps_.emplace_back(ByteLevel{});
  } else if (type == "Metaspace") {
    // Older files say add_prefix_space instead of prepend_scheme.
    bool prefix = flag(description, "add_prefix_space", true, where);
    if (present(description, "prepend_scheme") != nullptr)
      prefix = text_member(description, "prepend_scheme", where) != "never";
    std::string space = text_member(description, "replacement", where);
    require(!space.empty(), ExitCode::bad_data, "{}: Metaspace without a replacement", where);
    steps_.emplace_back(Metaspace{std::move(space), prefix});
  } else if (type == "Replace") {
    steps_.emplace_back(
        Replace{string_pattern(description, where), text_member(description, "content", where)});
  } else if (type == "ByteFallback") {
    steps_.emplace_back(ByteFallback{});
  } else if (type == "Fuse") {
    steps_.emplace_back(Fuse{});
  } else if (type == "Strip") {
    Strip strip{text_member(description, "content", where), require_i64(description, "start", where),
                require_i64(description, "stop", where)};
    require(!strip.content.empty(), ExitCode::bad_data, "{}: Strip of nothing", where);
    steps_.emplace_back(std::move(strip));
  } else {
    fail(ExitCode::bad_data,
         "{}: type {} is not supported (ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and "
         "Sequence are)",
         where, type);
  }
}

void TokenDecoder::apply(const ByteLevel&, Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += bytes_of_alphabet(token).value_or(token);
  tokens.assign(1, replace_invalid_utf8(bytes));
}

void TokenDecoder::apply(const Metaspace& metaspace, Tokens& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::size_t same = tokens[i].size();  // what is put in is no longer than what it is put for
    tokens[i] = replace_all(tokens[i], metaspace.space, i == 0 && metaspace.prefix ? "" : " ", same).text();
  }
}

void TokenDecoder::apply(const Replace& replace, Tokens& tokens) {
  std::size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  // Of all tokens together: each may be a part of that.
  std::size_t left = most_rewritten(bytes);
  for (std::string& token : tokens) {
    token = replace_all(token, replace.from, replace.to, left).text();
    left -= std::min(left, token.size());
  }
}

// Byte tokens that stand together are a text or, if they are none, a replacement character each.
void TokenDecoder::apply(const ByteFallback&, Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (first_invalid_utf8(bytes) < 0) {
      if (!bytes.empty()) out.push_back(bytes);
    } else {
      for (std::size_t i = 0; i < bytes.size(); ++i) out.emplace_back("\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = byte_of(token)) {
      bytes.push_back(*byte);
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(out);
}

void TokenDecoder::apply(const Fuse&, Tokens& tokens) {
  tokens.assign(1, joined(tokens));
}

void TokenDecoder::apply(const Strip& strip, Tokens& tokens) {
  const std::size_t size = strip.content.size();
  for (std::string& token : tokens) {
    for (i64 i = 0; i < strip.front && token.starts_with(strip.content); ++i) token.erase(0, size);
    for (i64 i = 0; i < strip.back && token.ends_with(strip.content); ++i) token.resize(token.size() - size);
  }
}

std::string TokenDecoder::operator()(std::vector<std::string> tokens) const {
  if (steps_.empty()) return joined(tokens, " ");
  const auto total = [&] {
    std::size_t bytes = 0;
    for (const std::string& token : tokens) bytes += token.size();
    return bytes;
  };
  const std::size_t most = most_rewritten(total());
  for (const Step& step : steps_) {
    std::visit([&](const auto& one) { apply(one, tokens); }, step);
    require_rewritten(total(), most);
  }
  return joined(tokens);
}

}  // namespace longsight::data
