// Tools, tool calls and system texts of every format.
#include "runtime/data/records/tools.h"

#include <doctest/doctest.h>

#include "runtime/data/records/open_data.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

ChatSample read(DataKind kind, std::string record, const ConversationTags& tags = {}) {
  std::replace(record.begin(), record.end(), '\n', ' ');
  const ScratchFolder folder;
  return open_chat_data({.kind = kind, .files = {folder.write("d.jsonl", record)}, .tags = tags})->sample(0);
}

std::string record_refusal(DataKind kind, const std::string& record) {
  const Failure failure = failure_of([&] { read(kind, record); });
  CHECK(failure.code == ExitCode::bad_data);
  const auto at = failure.message.find("d.jsonl:1: ");
  return at == std::string::npos ? failure.message : failure.message.substr(at + 11);
}

std::string turns(const std::string& more) {
  return R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], )" +
         more + "}";
}

}  // namespace

TEST_CASE("a system text beside the messages is a system message in front, in every format") {
  const auto system_of = [](const ChatSample& sample) {
    CHECK(sample.messages.size() == 3);
    CHECK(sample.messages[0].role == Role::system);
    return text_of(sample.messages[0]);
  };
  const std::string turns_of =
      R"("conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}])";
  CHECK(system_of(read(DataKind::messages, turns(R"("system": "In French.")"))) == "In French.");
  CHECK(system_of(read(DataKind::llava, R"({"system": "In French.", )" + turns_of + "}")) == "In French.");
  CHECK(system_of(read(DataKind::sharegpt, R"({"system": "In French.", )" + turns_of + "}")) == "In French.");
  CHECK(system_of(read(DataKind::text, R"({"system": "In French.", "query": "q", "response": "a"})")) ==
        "In French.");
  CHECK(read(DataKind::messages, turns(R"("system": "")")).messages.size() == 2);
  // One among the messages may say the same.
  const std::string twice = R"({"system": "S", "messages": [{"role": "system", "content": "S"},
      {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})";
  CHECK(system_of(read(DataKind::messages, twice)) == "S");
  std::string other = twice;
  other.replace(other.find("\"S\""), 3, "\"T\"");
  CHECK(record_refusal(DataKind::messages, other) ==
        "message 1: its system text is not the one of \"system\" beside the messages; keep one of them");
}

TEST_CASE("tools come in the order of the record, without the nulls that Arrow fills in") {
  const ChatSample sample = read(
      DataKind::messages,
      turns(
          R"("tools": [{"type": "function", "function": {"name": "f", "strict": null, "parameters": {"z": 1, "a": null,
               "b": [{"y": null, "x": 2}]}}}])"));
  CHECK(sample.tools.dump() ==
        R"([{"type":"function","function":{"name":"f","parameters":{"z":1,"b":[{"x":2}]}}}])");
  // In a text they stand as they are written.
  CHECK(
      read(DataKind::messages, turns(R"("tools": "[{\"name\": \"f\", \"default\": null}]")")).tools.dump() ==
      R"([{"name":"f","default":null}])");
  for (const char* none : {"null", "[]", "\"\"", "\"[]\"", "\" \\n\""}) {
    CAPTURE(none);
    CHECK(read(DataKind::messages, turns(std::string("\"tools\": ") + none)).tools.is_null());
  }
  CHECK(record_refusal(DataKind::messages, turns(R"("tools": {"name": "f"})")) ==
        "\"tools\": expected a list of functions, got an object");
  CHECK(record_refusal(DataKind::messages, turns(R"("tools": ["f"])")) ==
        "\"tools\": number 1: expected an object, got \"f\"");
  CHECK(
      contains(record_refusal(DataKind::messages, turns(R"("tools": "[{]")")), "tools:1:3: not valid JSON"));
}

TEST_CASE("calls of tools and what they gave") {
  const ChatSample sample = read(DataKind::messages, R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "index": null,
          "function": {"name": "f", "arguments": {"b": 1, "a": null}}}]},
      {"role": "tool", "tool_call_id": "c1", "name": "f", "content": ""},
      {"role": "assistant", "reasoning_content": "so", "content": "done", "name": null, "tool_calls": []}]})");
  REQUIRE(sample.messages.size() == 4);
  CHECK(sample.messages[1].parts.empty());
  CHECK(sample.messages[1].loss);
  CHECK(sample.messages[1].template_keys.dump() ==
        R"({"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":{"b":1}}}]})");
  CHECK(sample.messages[2].role == Role::tool);
  CHECK(sample.messages[2].template_keys.dump() == R"({"tool_call_id":"c1","name":"f"})");
  CHECK(sample.messages[3].template_keys.dump() == R"({"reasoning_content":"so"})");
  CHECK(sample.messages[0].template_keys.is_null());
  const auto bad = [](const std::string& message) {
    return record_refusal(DataKind::messages,
                          R"({"messages": [)" + message + R"(, {"role": "assistant", "content": "a"}]})");
  };
  CHECK(bad(R"({"role": "user", "content": "q", "tool_calls": [{"name": "f"}]})") ==
        "message 1: \"tool_calls\" are for assistant messages only");
  CHECK(bad(R"({"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]})") ==
        "message 1: \"tool_calls\": number 1: a call without the name of its function");
  CHECK(bad(R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 5}}]})") ==
        "message 1: \"tool_calls\": number 1: \"arguments\": expected an object, got 5");
  CHECK(bad(R"({"role": "assistant", "tool_calls": []})") == "message 1: empty content");
  CHECK(bad(R"({"role": "tool"})") == "message 1: no \"content\"");
}

TEST_CASE("ShareGPT data with tools: function_call and observation, under other names too") {
  const auto check = [](const ChatSample& sample) {
    REQUIRE(sample.messages.size() == 4);
    CHECK(sample.messages[1].role == Role::assistant);
    CHECK(sample.messages[1].loss);
    CHECK(sample.messages[1].template_keys.dump() ==
          R"({"tool_calls":[{"type":"function","function":{"name":"f","arguments":{"x":1}}}]})");
    CHECK(sample.messages[2].role == Role::tool);
    CHECK(text_of(sample.messages[2]) == "4");
    CHECK(sample.tools.dump() == R"([{"name":"f"}])");
  };
  check(read(DataKind::sharegpt,
             R"({"tools": "[{\"name\": \"f\"}]", "conversations": [{"from": "human", "value": "q"},
      {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
      {"from": "observation", "value": "4"}, {"from": "gpt", "value": "a"}]})"));
  check(read(DataKind::sharegpt,
             R"({"functions_": [{"name": "f"}], "conversations": [{"from": "human", "value": "q"},
      {"from": "call", "value": "[{\"name\": \"f\", \"arguments\": {\"x\": 1}}]"},
      {"from": "result", "value": "4"}, {"from": "gpt", "value": "a"}]})",
             {.function = "call", .observation = "result", .tools = "functions_"}));
  const auto bad = [](const std::string& value) {
    return record_refusal(DataKind::sharegpt,
                          R"({"conversations": [{"from": "function_call", "value": ")" + value + "\"}]}");
  };
  CHECK(contains(bad("f(x)"), "turn 1: a function call:1:"));
  CHECK(bad("[]") == "turn 1: an empty list of function calls");
  CHECK(bad("{}") == "turn 1: a call without the name of its function");
  CHECK(bad("7") == "turn 1: expected an object with \"name\" and \"arguments\", got 7");
}
