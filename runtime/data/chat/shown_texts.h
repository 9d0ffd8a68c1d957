// Nothing of a sample is left out without a word: what a chat template must show of it. Internal to this
// folder.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/data/chat/chat_context.h"
#include "runtime/jinja/template.h"

namespace longsight::data {

// bad_data, with sample.where and the number of the message, for what the rendering of its first `count`
// messages does not show, or only a part of: texts of the system, the user and tools, calls of tools with
// their arguments, names, the reasoning_content of the sample's last message, tools; and for an answer to be
// learned of which nothing appears. Spaces, the names of a call's text arguments, ids of calls, and the name
// of a tool's message that a call in front has named, say nothing that must be shown. `program`: the
// template's source; a word that it spells in quotes ('/no_think') it may take out of a text.
void check_shown(const jinja::Rendered&, const ChatContext&, const ChatSample&, std::size_t count,
                 const std::string& place, std::string_view program);

}  // namespace longsight::data
