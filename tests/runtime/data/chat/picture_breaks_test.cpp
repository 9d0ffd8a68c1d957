#include "runtime/data/chat/picture_breaks.h"

#include <doctest/doctest.h>

using namespace longsight::data;

namespace {

// "*" is a picture, every other letter a text of its own; "n" a text that is a line break.
std::string without(const std::vector<std::string>& parts, bool pictures_first) {
  ChatSample sample;
  sample.messages.push_back({});
  for (const std::string& part : parts) {
    const PartKind kind = part == "*" ? PartKind::image : PartKind::text;
    sample.messages[0].parts.push_back({.kind = kind, .text = kind == PartKind::text ? part : ""});
  }
  std::string all;
  const ChatSample made = without_picture_breaks(sample, pictures_first);
  for (const ChatPart& part : made.messages[0].parts) all += part.is_text() ? "(" + part.text + ")" : "*";
  return all;
}

}  // namespace

TEST_CASE("a line break that the template writes behind a picture is not written twice") {
  CHECK(without({"*", "\nWhat?"}, true) == "*(What?)");
  CHECK(without({"*", "\n\nWhat?"}, true) == "*(\nWhat?)");
  CHECK(without({"*", "\n", "*", "\nWhat?"}, true) == "**(What?)");
  CHECK(without({"1: ", "*", "\n2: ", "*", "\nCompare."}, false) == "(1: )*(2: )*(Compare.)");
  CHECK(without({"What?\n", "*"}, true) == "(What?)*");
  CHECK(without({"What?\n", "*", "*"}, true) == "(What?)**");
  CHECK(without({"What?\n", "*"}, false) == "(What?\n)*");
  CHECK(without({"What?\n"}, true) == "(What?\n)");
  CHECK(without({"\nWhat?", " \n"}, true) == "(\nWhat?)( \n)");
}
