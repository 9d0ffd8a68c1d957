// Every key of every format: used, harmless or an error with file, line and the nearest known key; null is
// absent.
#include <fstream>
#include <random>
#include <sstream>

#include <doctest/doctest.h>

#include "runtime/data/records/check_data.h"
#include "runtime/data/records/open_data.h"
#include "runtime/data/records/record_keys.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

// A record that holds every key that is used where it stands in, and the places of those keys.
struct Format {
  std::string name;
  DataKind kind;
  std::string record;
};

const std::vector<Format> kFormats{
    {"messages", DataKind::messages,
     R"({"id": "x", "system": "s", "images": ["a.png"], "videos": [["a.png", "a.png"]], "tools": [{"name": "f"}],
         "messages": [{"role": "user", "content": [{"type": "text", "text": "<image>"},
             {"type": "image", "image": "a.png", "min_pixels": 1, "max_pixels": 9},
             {"type": "image_url", "image_url": {"url": "a.png", "detail": "auto"}},
             {"type": "video", "video": ["a.png"], "fps": 2, "nframes": 1, "resized_height": 28, "resized_width": 28},
             {"type": "video"}]},
           {"role": "assistant", "content": "a", "loss": true, "reasoning_content": "r",
            "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]},
           {"role": "tool", "content": "4", "name": "f", "tool_call_id": "1"},
           {"role": "assistant", "content": [{"type": "text", "text": "b"}]}]})"},
    {"llava", DataKind::llava,
     R"({"id": 1, "image": "a.png", "video": ["a.png"], "system": "s", "tools": "[{\"name\": \"f\"}]",
         "conversations": [{"from": "human", "value": "<image> <video>"}, {"from": "gpt", "value": "a", "loss": true}]})"},
    {"sharegpt", DataKind::sharegpt,
     R"({"id": 1, "images": ["a.png"], "videos": [["a.png"]], "system": "s", "tools": [{"name": "f"}],
         "conversations": [{"from": "human", "value": "<image> <video>"},
             {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
             {"from": "observation", "value": "4"}, {"from": "gpt", "value": "a", "loss": true}]})"},
    {"pairs", DataKind::sharegpt,
     R"({"images": ["a.png"], "system": "s", "conversation": [{"human": "<image>", "assistant": "a"}]})"},
    {"text", DataKind::text, R"({"id": 1, "text": "t"})"},
    {"query", DataKind::text,
     R"({"id": 1, "query": "q", "response": "a", "system": "s", "history": [["q", "a"]]})"},
    {"alpaca", DataKind::text,
     R"({"instruction": "q", "input": "i", "output": "a", "system": "s", "history": [["q", "a"]]})"}};

class File {
 public:
  File() { folder_.write("a.png", "x"); }
  Failure check(DataKind kind, const std::string& record, const std::vector<std::string>& ignore = {}) const {
    std::string line = record;
    std::replace(line.begin(), line.end(), '\n', ' ');
    const std::string path = folder_.write("d.jsonl", "\n" + line + "\n");
    return failure_of(
        [&] { check_samples(*open_chat_data({.kind = kind, .files = {path}, .ignore = ignore})); });
  }
  Failure check(const Format& format, const OrderedJson& record) const {
    return check(format.kind, record.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
  }
  std::string line() const { return (folder_ / "d.jsonl") + ":2"; }

 private:
  ScratchFolder folder_;
};

OrderedJson record_of(const Format& format) {
  return parse_ordered_json(format.record, format.name);
}

// Where the objects of a record stand, those of functions aside: they are the template's.
void list_objects(const OrderedJson& value, const std::string& place, std::vector<std::string>& places) {
  if (value.is_object()) places.push_back(place);
  for (const auto& [key, member] : value.items()) {
    if (value.is_structured() && key != "tools" && key != "tool_calls")
      list_objects(member, place + "/" + key, places);
  }
}
std::vector<std::string> objects_of(const OrderedJson& record) {
  std::vector<std::string> places;
  list_objects(record, "", places);
  return places;
}

OrderedJson& at(OrderedJson& record, const std::string& place) {
  return record[OrderedJson::json_pointer(place)];
}

std::vector<std::string> keys_of(const OrderedJson& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

}  // namespace

TEST_CASE("records with every key that is used are read") {
  const File file;
  for (const Format& format : kFormats) {
    CAPTURE(format.name);
    CHECK(file.check(format, record_of(format)) == Failure{});
  }
}

TEST_CASE("a misspelt key is an error with file, line and the key that was meant, wherever it stands") {
  const File file;
  int tried = 0;
  for (const Format& format : kFormats) {
    const OrderedJson good = record_of(format);
    for (const std::string& place : objects_of(good)) {
      OrderedJson object = good[OrderedJson::json_pointer(place)];
      for (const std::string& key : keys_of(object)) {
        if (key.size() < 4) continue;  // of "id" or "fps" little is left
        OrderedJson record = good, changed = OrderedJson::object();
        for (const auto& [k, v] : object.items()) changed[k == key ? key + "z" : k] = v;
        at(record, place) = changed;
        const Failure failure = file.check(format, record);
        CAPTURE(format.name);
        CAPTURE(place);
        CAPTURE(key);
        CAPTURE(failure.message);
        CHECK(failure.code == ExitCode::bad_data);
        CHECK(failure.message.starts_with(file.line()));
        // A record of kind text is what it is by its keys; a part without "type" says so.
        const bool told = contains(failure.message, "\"" + key + "z\"") ||
                          contains(failure.message, "neither") || contains(failure.message, "\"type\"");
        CHECK(told);
        if (contains(failure.message, "unknown key"))
          CHECK(contains(failure.message, "; did you mean \"" + key));  // or its plural
        ++tried;
      }
    }
  }
  CHECK(tried > 60);
}

TEST_CASE("an unknown key that is null is absent, a harmless one is passed over, in every object") {
  const File file;
  for (const Format& format : kFormats) {
    const OrderedJson good = record_of(format);
    for (const std::string& place : objects_of(good)) {
      if (place.ends_with("image_url")) continue;
      OrderedJson record = good;
      for (const char* key :
           {"index", "text", "bytes", "weights", "tool_calls", "messages", "conversation", "objects"}) {
        if (!at(record, place).contains(key)) at(record, place)[key] = nullptr;
      }
      at(record, place)["id"] = "five";
      CAPTURE(format.name);
      CAPTURE(place);
      CHECK(file.check(format, record) == Failure{});
    }
    for (const auto& key : record_keys().harmless) {
      OrderedJson record = good;
      record[std::string(key)] = {{"anything", 1}};
      CAPTURE(key);
      CHECK(file.check(format, record) == Failure{});
    }
  }
}

TEST_CASE("a value of a wrong type is an error with file and line, or null: absent or missing") {
  const File file;
  const std::vector<OrderedJson> wrong{5,
                                       -1,
                                       1.5,
                                       true,
                                       "",
                                       "no such thing",
                                       OrderedJson::array({1}),
                                       OrderedJson::array({OrderedJson::array()}),
                                       {{"x", 1}},
                                       nullptr};
  int refused = 0;
  for (const Format& format : kFormats) {
    const OrderedJson good = record_of(format);
    for (const std::string& place : objects_of(good)) {
      for (const std::string& key : keys_of(good[OrderedJson::json_pointer(place)])) {
        for (const OrderedJson& value : wrong) {
          OrderedJson record = good;
          at(record, place)[key] = value;
          const Failure failure = file.check(format, record);
          if (failure.code == ExitCode::done) continue;
          CAPTURE(format.name);
          CAPTURE(place + "/" + key);
          CAPTURE(value.dump());
          CAPTURE(failure.message);
          CHECK((failure.code == ExitCode::bad_data || failure.code == ExitCode::missing_input));
          CHECK(failure.message.starts_with(file.line()));
          CHECK(failure.message.size() < 500);
          ++refused;
        }
      }
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("a thousand records changed at random are read or refused with file and line") {
  const File file;
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    const Format& format = kFormats[below(kFormats.size())];
    std::string text = format.record;
    const std::size_t changes = 1 + below(3);
    for (std::size_t k = 0; k < changes; ++k) {
      const std::size_t place = below(text.size());
      const std::size_t how = below(4);
      if (how == 0) text[place] = static_cast<char>(random());
      if (how == 1) text.erase(place, 1 + below(20));
      if (how == 2) text.insert(place, text.substr(below(text.size()), below(30)));
      if (how == 3) text.insert(place, 1, "{}[]\",:0"[below(8)]);
    }
    const Failure failure = file.check(format.kind, text);
    if (failure.code == ExitCode::done) continue;
    CAPTURE(text);
    CAPTURE(failure.message);
    CHECK((failure.code == ExitCode::bad_data || failure.code == ExitCode::missing_input));
    CHECK((failure.message.starts_with(file.line()) || contains(failure.message, "d.jsonl")));
    CHECK(failure.message.size() < 600);
    ++refused;
  }
  CHECK(refused > 500);
}

TEST_CASE("keys that mean something else are refused with what to do, and the user may have some ignored") {
  const File file;
  const std::string turns =
      R"("messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])";
  CHECK(file.check(DataKind::messages, R"({"objects": {"ref": ["cat"]}, )" + turns + "}").message ==
        file.line() +
            ": \"objects\" is not supported: boxes and references are not put into texts; write them there "
            "as the "
            "model wants them");
  CHECK(file.check(DataKind::messages, R"({"objects": {"ref": ["cat"]}, "my": 1, )" + turns + "}",
                   {"objects", "my"}) == Failure{});
  CHECK(file.check(DataKind::messages, R"({"imgae": "a.png", )" + turns + "}").message ==
        file.line() + ": unknown key \"imgae\"; did you mean \"image\"?");
  const std::string long_key(1'000'000, 'k');
  CHECK(file.check(DataKind::messages, "{\"" + long_key + "\": 1, " + turns + "}").message.size() < 500);
}

TEST_CASE("the documentation lists every key of the tables") {
  std::ifstream in("docs/data.md");
  std::stringstream text;
  text << in.rdbuf();
  for (const KeyTable* table : {&record_keys(), &message_keys(), &part_keys(), &caption_keys()}) {
    for (const auto& key : table->harmless) {
      CAPTURE(key);
      CHECK(contains(text.str(), "`" + std::string(key) + "`"));
    }
    for (const auto& refused : table->refused) {
      CAPTURE(refused.key);
      CHECK(contains(text.str(), "`" + std::string(refused.key) + "`"));
    }
  }
}
