// The tokens of a sample for people to look at.
#pragma once

#include <string>

#include "launch/samples/sample_maker.h"

namespace longsight::launch {

// Tokens are parted by |, runs of those with loss stand in [brackets], a token that is repeated (those of a
// picture) is written once with its number, a line break as in the text behind a mark: "<s>|USER|:| <image>
// x16| What|?[ a| cat|</s>]".
std::string token_text(const SampleMaker& maker, const model::Sample& sample);

// "one-cat, 47 tokens: 16 of pictures, 5 with loss; 1 image"
std::string facts_text(const SampleMaker& maker, const data::ChatSample& chat, const model::Sample& sample);

}  // namespace longsight::launch
