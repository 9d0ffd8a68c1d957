#include "runtime/data/chat/media_text.h"

#include <doctest/doctest.h>

#include "runtime/base/error.h"

using namespace longsight;
using namespace longsight::data;

TEST_CASE("LLaVA and PaliGemma: placeholders alone") {
  CHECK(plain_media_text("<image>", 3) == "<image><image><image>");
  CHECK_THROWS_AS(plain_media_text("<image>", 0), Error);
}

TEST_CASE("InternVL: the placeholders of all tiles, the thumbnail's too, in one pair of marks") {
  CHECK(internvl_media_text("c", {}, 2) == "<img>cc</img>");
  CHECK(internvl_media_text("c", {.rows = 1, .columns = 2, .thumbnail = true}, 2) == "<img>cccccc</img>");
}

TEST_CASE("Qwen2-VL: one placeholder for 2 x 2 patches of each frame") {
  CHECK(qwen_media_text("p", {.frames = 1, .rows = 4, .columns = 6}) ==
        "<|vision_start|>pppppp<|vision_end|>");
  CHECK(qwen_media_text("v", {.frames = 3, .rows = 2, .columns = 2}) == "<|vision_start|>vvv<|vision_end|>");
  CHECK_THROWS_AS(qwen_media_text("p", {.frames = 1, .rows = 3, .columns = 4}), Error);
}

TEST_CASE("SmolVLM: rows and columns by name, a line break behind each row, then the whole image") {
  CHECK(smolvlm_media_text("i", {.rows = 2, .columns = 2, .thumbnail = true}, 2) ==
        "<fake_token_around_image><row_1_col_1>ii<fake_token_around_image><row_1_col_2>ii\n"
        "<fake_token_around_image><row_2_col_1>ii<fake_token_around_image><row_2_col_2>ii\n"
        "\n<fake_token_around_image><global-img>ii<fake_token_around_image>");
  CHECK(smolvlm_media_text("i", {}, 2) == "<fake_token_around_image><global-img>ii<fake_token_around_image>");
  CHECK_THROWS_AS(smolvlm_media_text("i", {.rows = 1, .columns = 2}, 2), Error);
}
