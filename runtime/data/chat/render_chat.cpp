#include "runtime/data/chat/render_chat.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/data/chat/answer_spans.h"
#include "runtime/data/chat/call_bounds.h"
#include "runtime/data/chat/media_marks.h"
#include "runtime/data/chat/picture_breaks.h"
#include "runtime/data/chat/prefix_suffix.h"
#include "runtime/data/chat/shown_texts.h"
#include "runtime/jinja/template.h"

namespace longsight::data {
namespace {

// What strftime_now shows, 26 July 2024 (the date that the templates of Llama 3 have where there is no
// clock): the samples of a run must not depend on the day.
constexpr i64 kNow = 1721952000;

// A stretch of the template's text that is replaced.
struct Edit {
  ByteSpan span;
  std::string_view text;
  bool learned = false;
  bool media = false;
};

jinja::Template parsed(const std::string& program, const std::string& place) {
  try {
    return jinja::Template(program, place);
  } catch (const Error& error) {
    fail(error.code(), "{}; {}", error.what(), ChatRemedy{place});
  }
}

bool has_origin(const std::vector<jinja::Span>& origins, ByteSpan span) {
  const auto behind = std::partition_point(origins.begin(), origins.end(),
                                           [&](const jinja::Span& o) { return o.end <= span.begin; });
  return behind != origins.end() && behind->begin < span.end;
}

// The family's text around the placeholders of a picture may be written by the template already
// (<|vision_start|> in front of <|image_pad|>): it then stands for that.
ByteSpan with_surroundings(ByteSpan mark, std::string_view text, std::string_view media_text,
                           std::string_view placeholder, const std::vector<jinja::Span>& origins) {
  const std::size_t first = media_text.find(placeholder), last = media_text.rfind(placeholder);
  if (placeholder.empty() || first == std::string_view::npos) return mark;
  const std::string_view before = media_text.substr(0, first),
                         behind = media_text.substr(last + placeholder.size());
  const ByteSpan wider{mark.begin - static_cast<i64>(before.size()),
                       mark.end + static_cast<i64>(behind.size())};
  const bool written = wider.begin >= 0 &&
                       text.substr(0, static_cast<std::size_t>(mark.begin)).ends_with(before) &&
                       text.substr(static_cast<std::size_t>(mark.end)).starts_with(behind);
  return written && !has_origin(origins, wider) ? wider : mark;
}

// The edits must be ascending and disjoint.
RenderedChat edited(std::string_view text, const std::vector<char>& learned, const std::vector<Edit>& edits) {
  RenderedChat chat;
  const auto position = [&chat] { return static_cast<i64>(chat.text.size()); };
  const auto learn = [&chat](i64 begin, i64 end) {
    if (begin == end) return;
    if (!chat.supervised.empty() && chat.supervised.back().end == begin) {
      chat.supervised.back().end = end;
    } else {
      chat.supervised.push_back({begin, end});
    }
  };
  const auto copy = [&](std::size_t begin, std::size_t end) {
    const i64 shift = position() - static_cast<i64>(begin);
    chat.text += text.substr(begin, end - begin);
    while (begin < end) {
      const auto change = std::find(learned.begin() + static_cast<std::ptrdiff_t>(begin),
                                    learned.begin() + static_cast<std::ptrdiff_t>(end),
                                    static_cast<char>(1 - learned[begin]));
      const auto to = static_cast<std::size_t>(change - learned.begin());
      if (learned[begin] != 0) learn(static_cast<i64>(begin) + shift, static_cast<i64>(to) + shift);
      begin = to;
    }
  };
  std::size_t at = 0;
  for (const Edit& edit : edits) {
    copy(at, static_cast<std::size_t>(edit.span.begin));
    const i64 begin = position();
    chat.text += edit.text;
    if (edit.learned) learn(begin, position());
    if (edit.media) chat.media.push_back({begin, position()});
    at = static_cast<std::size_t>(edit.span.end);
  }
  copy(at, text.size());
  return chat;
}

const char* name_of(PartKind kind) {
  return kind == PartKind::video ? "a video" : "an image";
}

}  // namespace

struct ChatRenderer::Program {
  std::string name, place, source;
  jinja::Template program;
  ContentForm form = ContentForm::text;
  TurnShape shape = {};
  PictureHabits habits = {};
};

struct ChatRenderer::Programs {
  SpecialStrings special;
  std::vector<Program> all = {};  // the first is the default one; none for a prefix and a suffix
};

ChatRenderer::ChatRenderer(ChatSource source, ChatTokens tokens)
    : source_(std::move(source)), tokens_(std::move(tokens)) {
  for (const std::string& token : source_.tokens) {
    require(tokens_.has(token), ExitCode::bad_data,
            "{} needs the token {}, which the tokenizer does not have; {}", source_.place, token,
            ChatRemedy{source_.place});
  }
  const auto programs = std::make_shared<Programs>(Programs{.special = SpecialStrings(tokens_.special)});
  const auto add = [&](const std::string& name, const std::string& place, const std::string& program) {
    programs->all.push_back(
        {.name = name, .place = place, .source = program, .program = parsed(program, place)});
    Program& added = programs->all.back();
    using enum ContentForm;
    added.form = added.program.takes_parts() ? parts : text;
    const ContentForm other = added.form == parts ? text : parts;
    for (const auto& [form, system] : {std::pair{added.form, false}, std::pair{other, false},
                                       std::pair{added.form, true}, std::pair{other, true}}) {
      auto shape = turn_shape(added.program, form, tokens_.named, programs->special, tokens_.ends, system);
      if (!shape) continue;
      added.shape = std::move(*shape);
      added.form = form;
      break;
    }
    if (!added.shape.known) added.shape.eos = tokens_.eos, added.shape.ends = tokens_.ends;
    if (added.form == parts) added.habits = picture_habits(added.program, tokens_.named, tokens_);
  };
  if (!source_.prefix_suffix) add("default", source_.place, source_.program);
  for (const auto& [name, program] : source_.named)
    add(name, fmt::format("{}, {}", source_.place, name), program);
  programs_ = programs;
}

bool ChatRenderer::learns_stop() const {
  return source_.prefix_suffix || programs_->all.front().shape.learns_stop;
}

bool ChatRenderer::adds_eos() const {
  if (source_.prefix_suffix) return false;
  const TurnShape& shape = programs_->all.front().shape;
  return shape.known && shape.lacks_end(true);
}

std::string ChatRenderer::stop() const {
  if (source_.prefix_suffix) return "<eos>";
  return programs_->all.front().shape.stop;
}

// As transformers chooses.
const ChatRenderer::Program& ChatRenderer::program_of(const ChatSample& sample) const {
  if (!sample.tools.is_null()) {
    for (const Program& program : programs_->all) {
      if (program.name == "tool_use") return program;
    }
  }
  return programs_->all.front();
}

RenderedChat ChatRenderer::run(const ChatSample& written, std::size_t count, bool generation_prompt,
                               std::span<const std::string> media_texts) const {
  const Program& program = program_of(written);
  const ChatSample sample =
      program.habits.writes_break ? without_picture_breaks(written, program.habits.pictures_first) : written;
  std::vector<bool> videos;  // the media of these messages, in order
  std::vector<std::size_t> message_of;
  for (std::size_t i = 0; i < count; ++i) {
    for (const ChatPart& part : sample.messages[i].parts) {
      if (part.is_text()) continue;
      require(program.form == ContentForm::parts, ExitCode::bad_data,
              "{}: {} has no place for {}, its messages are texts; {}", sample.where, program.place,
              name_of(part.kind), ChatRemedy{program.place});
      videos.push_back(part.kind == PartKind::video);
      message_of.push_back(i);
    }
  }
  require(videos.size() <= media_texts.size(), ExitCode::bad_data,
          "{}: more images in the messages than the {} of the sample", sample.where, media_texts.size());

  ChatContext context;
  jinja::Rendered rendered;
  try {
    context = chat_context(sample, count, program.form, generation_prompt, tokens_.named);
    rendered = program.program.render(context.value, {.limits = {}, .now = kNow});
  } catch (const jinja::RaisedByTemplate& raised) {
    fail(ExitCode::bad_data, "{}: {} refuses the conversation: {}", sample.where, program.place,
         raised.said());
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", sample.where, error.what());
  }
  check_shown(rendered, context, sample, count, program.place, program.source);

  // Each place of a picture that the template has written takes the next one of its kind.
  std::vector<Edit> edits;
  std::size_t next[2] = {0, 0}, places[2] = {0, 0};
  const auto of_kind = [&](bool video) {
    std::size_t& at = next[video];
    while (at < videos.size() && videos[at] != video) ++at;
    return at < videos.size() ? std::optional(at++) : std::nullopt;
  };
  std::vector<std::pair<std::size_t, Edit>> media;
  for (const MediaMark& mark : find_marks(rendered.text, tokens_)) {
    const std::string_view spelled = std::string_view(rendered.text)
                                         .substr(static_cast<std::size_t>(mark.span.begin),
                                                 static_cast<std::size_t>(mark.span.end - mark.span.begin));
    if (has_origin(rendered.origins, mark.span)) {
      if (!mark.word) fail_for_placeholder(spelled, sample.where);
      continue;  // the tokenizer takes it for text
    }
    places[mark.video] += 1;
    const auto index = of_kind(mark.video);
    if (!index) continue;  // counted below
    const std::string& text = media_texts[*index];
    edits.push_back({.span = with_surroundings(mark.span, rendered.text, text,
                                               mark.video ? tokens_.video : tokens_.image, rendered.origins),
                     .text = text,
                     .media = true});
    media.emplace_back(*index, edits.back());
  }
  for (const bool video : {false, true}) {
    const auto wanted = static_cast<std::size_t>(std::count(videos.begin(), videos.end(), video));
    require(places[video] == wanted, ExitCode::bad_data,
            "{}: {} has written {} places of {}, but the conversation has {}; {}", sample.where,
            program.place, places[video], video ? "videos" : "images", wanted, ChatRemedy{program.place});
  }

  // A picture is a part of its message, as a text is.
  for (const auto& [index, edit] : media) {
    rendered.origins.push_back({edit.span.begin, edit.span.end, static_cast<int>(context.origins.size())});
    context.origins.push_back({.message = message_of[index], .from = TextOrigin::From::content});
  }
  std::sort(rendered.origins.begin(), rendered.origins.end(),
            [](const jinja::Span& a, const jinja::Span& b) { return a.begin < b.begin; });

  std::vector<char> learned(rendered.text.size(), 0);
  const bool marked = program.program.marks_generation();
  auto answers = answers_of(rendered, context, sample, count, marked, program.shape, programs_->special);
  const RenderFirst render_first = [&](std::size_t first, bool prompt) {
    try {
      const ChatContext part = chat_context(sample, first, program.form, prompt, tokens_.named);
      return program.program.render(part.value, {.limits = {}, .now = kNow}).text;
    } catch (const Error&) {
      return std::string();  // a part of a conversation may be one that the template refuses
    }
  };
  for (Answer& answer : answers) {
    const nlohmann::ordered_json& keys = sample.messages[answer.message].template_keys;
    const bool calls = keys.is_object() && (keys.contains("tool_calls") || keys.contains("function_call"));
    if (calls && !marked && !answer.spans.empty()) {
      const i64 begin = answer.spans.front().begin;
      bound_call(answer, rendered.text, has_origin(rendered.origins, {begin, begin + 1}), render_first,
                 program.shape, programs_->special, sample.where);
    }
    const bool loss = sample.messages[answer.message].loss && !generation_prompt;
    require(!loss || !answer.cannot_tell, ExitCode::bad_data,
            "{}: {} shows the answer of message {} more than once, and which one is its turn cannot be told; "
            "mark it there with {{% generation %}} (data.chat: FILE.jinja)",
            sample.where, program.place, answer.message + 1);
    if (answer.spans.empty()) {
      require(!loss, ExitCode::bad_data,
              "{}: {} marks nothing of message {} as generated, which is to be learned", sample.where,
              program.place, answer.message + 1);
      continue;
    }
    if (loss) {
      for (const ByteSpan& span : answer.spans)
        std::fill(learned.begin() + span.begin, learned.begin() + span.end, static_cast<char>(1));
    }
    require(
        !loss || marked || !program.shape.cannot_tell, ExitCode::bad_data,
        "{}: whether {} ends an answer with what it writes behind the last one, or a conversation, cannot be "
        "told; mark what is generated with {{% generation %}} in it (data.chat: FILE.jinja)",
        sample.where, program.place);
    if (answer.ended || !program.shape.lacks_end(answer.message + 1 == count)) continue;
    require(program.shape.known || !loss, ExitCode::bad_data,
            "{}: where the answer of message {} ends cannot be told: {} takes no conversation of a question "
            "and an "
            "answer alone, and writes no special token behind this one; mark what is generated with "
            "{{% generation %}} in it (data.chat: FILE.jinja)",
            sample.where, answer.message + 1, program.place);
    require(!tokens_.eos.empty(), ExitCode::bad_data,
            "{}: {} ends no answer with a special token, and the tokenizer has no eos_token that could be "
            "added; name one in tokenizer_config.json",
            sample.where, program.place);
    edits.push_back({.span = {answer.end, answer.end}, .text = tokens_.eos, .learned = loss});
  }
  std::stable_sort(edits.begin(), edits.end(),
                   [](const Edit& a, const Edit& b) { return a.span.begin < b.span.begin; });
  RenderedChat chat = edited(rendered.text, learned, edits);

  // In the order of the sample, not of the text: images and videos may stand in another one there.
  std::sort(media.begin(), media.end(),
            [](const auto& a, const auto& b) { return a.second.span.begin < b.second.span.begin; });
  std::vector<ByteSpan> spans(videos.size());
  for (std::size_t k = 0; k < media.size(); ++k) spans[media[k].first] = chat.media[k];
  chat.media = std::move(spans);
  return chat;
}

RenderedChat ChatRenderer::render(const ChatSample& sample, std::span<const std::string> media_texts) const {
  if (sample.plain) return render_plain(sample, tokens_);
  RenderedChat chat = source_.prefix_suffix ? render_prefix_suffix(sample, media_texts, tokens_, true)
                                            : run(sample, sample.messages.size(), false, media_texts);
  require(chat.media.size() == media_texts.size(), ExitCode::bad_data,
          "{}: {} images, but {} places for one in the messages", sample.where, media_texts.size(),
          chat.media.size());
  return chat;
}

RenderedChat ChatRenderer::prompt(const ChatSample& sample, std::span<const std::string> media_texts) const {
  if (sample.plain) return {};  // nothing stands in front of it
  if (source_.prefix_suffix) return render_prefix_suffix(sample, media_texts, tokens_, false);
  std::size_t last = sample.messages.size();
  while (last > 0 && sample.messages[last - 1].role != Role::assistant) --last;
  // Without an assistant message all of it is the prompt.
  return run(sample, last > 0 ? last - 1 : sample.messages.size(), true, media_texts);
}

RenderedChat render_plain(const ChatSample& sample, const ChatTokens& tokens) {
  require(!tokens.eos.empty(), ExitCode::bad_data,
          "{}: a plain text ends with the tokenizer's eos_token, and it has none; name one in "
          "tokenizer_config.json",
          sample.where);
  RenderedChat chat;
  chat.text = text_of(sample.messages.front());
  refuse_placeholder(chat.text, tokens, sample.where);
  chat.text += tokens.eos;
  chat.supervised.push_back({0, static_cast<i64>(chat.text.size())});
  return chat;
}

}  // namespace longsight::data
