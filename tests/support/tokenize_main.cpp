// tokenize FOLDER [--time]: token ids of texts. Reads a JSON string from each line of standard input, writes
// its ids, without those that the tokenizer adds around a text, as one line of numbers. With --time writes
// instead how many seconds all of them take, the best of five passes in one thread. For
// scripts/check_tokenizers.py.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/data/text/tokenizer.h"

using namespace longsight;

namespace {

void write_ids(const data::Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  data::EncodeCache cache;
  std::string line;
  for (const std::string& text : texts) {
    line.clear();
    for (const i64 id : tokenizer.encode(text, cache, false).ids) line += fmt::format("{} ", id);
    std::puts(line.c_str());
  }
}

void write_seconds(const data::Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    data::EncodeCache cache;
    const auto begin = Clock::now();
    for (const std::string& text : texts) tokenizer.encode(text, cache, false);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (pass == 0 || seconds < best) best = seconds;
  }
  fmt::print("{}\n", best);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const bool time = count == 3 && std::string(arguments[2]) == "--time";
    require(count == 2 || time, ExitCode::usage, "usage: tokenize FOLDER [--time] < TEXTS");
    const auto tokenizer = data::read_tokenizer(arguments[1]);
    std::vector<std::string> texts;
    for (std::string line; std::getline(std::cin, line);)
      texts.push_back(parse_json(line, "standard input").get<std::string>());
    (time ? write_seconds : write_ids)(*tokenizer, texts);
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "tokenize: {}\n", error.what());
    return static_cast<int>(error.code());
  }
}
