#include "parallel/schedule.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/ranges.h>
#include <xxhash.h>

namespace longsight::parallel {
namespace {

constexpr std::size_t kLongTable = 64;  // longer ones are summarised in texts

bool is_matrix(Operation operation) {
  return operation == Operation::all_to_all;
}

// Ranks of the group, as far as the table tells.
std::size_t side_of(const std::vector<i64>& matrix) {
  std::size_t side = 0;
  while (side * side < matrix.size()) ++side;
  return side;
}

std::string counts_text(Operation operation, const CountTable& table) {
  const std::vector<i64>& counts = table.all();
  if (counts.size() > kLongTable)
    return fmt::format("[{} counts, {:016x}]", counts.size(), table.fingerprint());
  if (!is_matrix(operation)) return fmt::format("{}", counts);
  const std::size_t side = side_of(counts);
  std::vector<std::vector<i64>> rows;
  for (std::size_t first = 0; first < counts.size(); first += side) {
    const std::size_t last = std::min(first + side, counts.size());
    rows.emplace_back(counts.begin() + static_cast<std::ptrdiff_t>(first),
                      counts.begin() + static_cast<std::ptrdiff_t>(last));
  }
  return fmt::format("{}", rows);
}

std::string to_json(const Schedule& schedule, std::size_t index) {
  if (index >= schedule.entries().size()) return "";
  const ScheduleEntry& e = schedule.entries()[index];
  return nlohmann::json{{"operation", static_cast<int>(e.operation)},
                        {"label", e.label},
                        {"group", e.group},
                        {"dtype", static_cast<int>(e.dtype)},
                        {"counts", e.counts.all()},
                        {"peer", e.peer},
                        {"to", e.to}}
      .dump();
}

std::optional<ScheduleEntry> from_json(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const nlohmann::json json = nlohmann::json::parse(text);
  return ScheduleEntry{static_cast<Operation>(json.at("operation").get<int>()),
                       json.at("label").get<std::string>(),
                       json.at("group").get<std::string>(),
                       static_cast<DType>(json.at("dtype").get<int>()),
                       json.at("counts").get<std::vector<i64>>(),
                       json.at("peer").get<int>(),
                       json.at("to").get<int>()};
}

std::string text_of(const std::optional<ScheduleEntry>& entry) {
  return entry ? entry->text() : "the end of the list";
}

// ": the count from rank 1 to rank 2 is 5 or 7" where two entries differ in a count only.
std::string first_different_count(const std::optional<ScheduleEntry>& a,
                                  const std::optional<ScheduleEntry>& b) {
  if (!a || !b || a->operation != b->operation || a->counts.all().size() != b->counts.all().size()) return "";
  const auto [x, y] = std::mismatch(a->counts.all().begin(), a->counts.all().end(), b->counts.all().begin());
  if (x == a->counts.all().end()) return "";
  const std::size_t i = static_cast<std::size_t>(x - a->counts.all().begin());
  if (!is_matrix(a->operation)) return fmt::format(": count {} is {} or {}", i, *x, *y);
  const std::size_t side = side_of(a->counts.all());
  return fmt::format(": the count from rank {} to rank {} is {} or {}", i / side, i % side, *x, *y);
}

template <class Same>
std::string ranks_that(int ranks, Same&& same) {
  std::vector<int> list;
  for (int r = 0; r < ranks; ++r) {
    if (same(r)) list.push_back(r);
  }
  return fmt::format("rank{} {}", list.size() == 1 ? "" : "s", fmt::join(list, ", "));
}

// A sequence of fields, hashed without ambiguity: every text is preceded by its length.
class FieldHash {
 public:
  FieldHash() : state_(XXH3_createState()) { XXH3_128bits_reset(state_.get()); }
  FieldHash& add(u64 value) {
    XXH3_128bits_update(state_.get(), &value, sizeof value);
    return *this;
  }
  FieldHash& add(const std::string& text) {
    add(text.size());
    XXH3_128bits_update(state_.get(), text.data(), text.size());
    return *this;
  }
  FieldHash& add(const ScheduleEntry& e) {
    return add(static_cast<u64>(e.operation))
        .add(e.label)
        .add(e.group)
        .add(static_cast<u64>(e.dtype))
        .add(e.counts.all().size())
        .add(e.counts.fingerprint())
        .add(static_cast<u64>(e.peer))
        .add(static_cast<u64>(e.to));
  }
  Schedule::Fingerprint digest() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return {hash.low64, hash.high64};
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const noexcept { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

}  // namespace

CountTable::CountTable(std::vector<i64> counts)
    : counts_(std::make_shared<const std::vector<i64>>(std::move(counts))),
      fingerprint_(XXH3_64bits(counts_->data(), counts_->size() * sizeof(i64))) {}

std::string ScheduleEntry::text() const {
  std::string result = fmt::format("{} \"{}\" {} {} {}", name_of(operation), label, group,
                                   longsight::name_of(dtype), counts_text(operation, counts));
  if (operation == Operation::broadcast) result += fmt::format(" root {}", peer);
  if (operation == Operation::shift) result += fmt::format(" offset {}", peer);
  if (operation == Operation::transfer) result += fmt::format(" rank {} to rank {}", peer, to);
  return result;
}

void Schedule::add_all_to_all(std::string group, std::string label, DType dtype, const CountMatrix& counts) {
  add_all_to_all(std::move(group), std::move(label), dtype, CountTable(counts.all()));
}

void Schedule::add_all_to_all(std::string group, std::string label, DType dtype, CountTable n_by_n) {
  add({Operation::all_to_all, std::move(label), std::move(group), dtype, std::move(n_by_n)});
}

void Schedule::add_all_gather(std::string group, std::string label, DType dtype, CountTable per_rank) {
  add({Operation::all_gather, std::move(label), std::move(group), dtype, std::move(per_rank)});
}

void Schedule::add_reduce_scatter(std::string group, std::string label, DType dtype, CountTable per_rank) {
  add({Operation::reduce_scatter, std::move(label), std::move(group), dtype, std::move(per_rank)});
}

void Schedule::add_all_reduce_sum(std::string group, std::string label, DType dtype, i64 count) {
  add({Operation::all_reduce_sum, std::move(label), std::move(group), dtype, std::vector<i64>{count}});
}

void Schedule::append(const Schedule& other) {
  entries_.insert(entries_.end(), other.entries_.begin(), other.entries_.end());
}

std::string Schedule::text() const {
  std::string result;
  for (std::size_t i = 0; i < entries_.size(); ++i) result += fmt::format("{:4} {}\n", i, entries_[i].text());
  return result;
}

Schedule::Fingerprint Schedule::fingerprint() const {
  FieldHash hash;
  for (const ScheduleEntry& entry : entries_) hash.add(entry);
  return hash.digest();
}

void agree(const Schedule& schedule, ProcessGroup& group, Stream stream) {
  const auto fingerprints = group.all_gather(schedule.fingerprint(), stream, "schedule check");
  if (std::all_of(fingerprints.begin(), fingerprints.end(),
                  [&](const auto& f) { return f == fingerprints[0]; }))
    return;

  // All ranks see the same fingerprints, so all of them come here and compare entry by entry.
  const std::vector<i64> lengths = group.all_gather(schedule.size(), stream, "schedule check");
  const std::size_t longest = static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
  for (std::size_t i = 0; i < longest; ++i) {
    FieldHash hash;
    if (i < schedule.entries().size()) hash.add(schedule.entries()[i]);
    const auto versions = group.all_gather(hash.digest(), stream, "schedule check");
    const auto other =
        std::find_if(versions.begin(), versions.end(), [&](const auto& v) { return v != versions[0]; });
    if (other == versions.end()) continue;
    const std::vector<std::string> texts = group.all_gather(to_json(schedule, i), stream, "schedule check");
    const auto first = from_json(texts[0]);
    const auto second = from_json(texts[static_cast<std::size_t>(other - versions.begin())]);
    fail(
        ExitCode::internal,
        "the ranks of group {} would issue different collectives; nothing was issued. Entry {}{}: {} has {}; "
        "{} has {}",
        group.label(), i, first_different_count(first, second),
        ranks_that(group.size(), [&](int r) { return versions[static_cast<std::size_t>(r)] == versions[0]; }),
        text_of(first),
        ranks_that(group.size(), [&](int r) { return versions[static_cast<std::size_t>(r)] == *other; }),
        text_of(second));
  }
  check(false, "schedules of group {} differ, but none of their entries does", group.label());
}

std::optional<std::string> difference(const ScheduleEntry& entry, const Call& call, int rank, int ranks) {
  if (entry.operation != call.operation) {
    return fmt::format("operation {}, not {}", name_of(call.operation), name_of(entry.operation));
  }
  if (*call.label != '\0' && entry.label != call.label) {
    return fmt::format("label \"{}\", not \"{}\"", call.label, entry.label);
  }
  if (entry.dtype != call.dtype && call.operation != Operation::barrier) {
    return fmt::format("dtype {}, not {}", longsight::name_of(call.dtype), longsight::name_of(entry.dtype));
  }
  const std::vector<i64>& counts = entry.counts.all();
  const std::size_t n = static_cast<std::size_t>(ranks);
  const std::size_t me = static_cast<std::size_t>(rank);
  std::vector<i64> sent = counts;
  std::vector<i64> received;
  int peer = entry.peer;
  switch (entry.operation) {
    case Operation::all_to_all:
      if (counts.size() != n * n)
        return fmt::format("a group of {} ranks, not {} counts", ranks, counts.size());
      sent.assign(counts.begin() + static_cast<std::ptrdiff_t>(me * n),
                  counts.begin() + static_cast<std::ptrdiff_t>((me + 1) * n));
      for (std::size_t from = 0; from < n; ++from) received.push_back(counts[from * n + me]);
      break;
    case Operation::shift: {
      if (counts.size() != n) return fmt::format("a group of {} ranks, not {} counts", ranks, counts.size());
      const std::size_t from = static_cast<std::size_t>(((rank - entry.peer) % ranks + ranks) % ranks);
      sent = {counts[me]};
      received = {counts[from]};
      break;
    }
    case Operation::transfer:
      if (rank == entry.to) sent.swap(received);
      if (rank == entry.peer) peer = entry.to;
      break;
    default:
      break;
  }
  if (!std::equal(sent.begin(), sent.end(), call.sent.begin(), call.sent.end())) {
    return fmt::format("counts {}, not {}", std::vector<i64>(call.sent.begin(), call.sent.end()), sent);
  }
  if (!std::equal(received.begin(), received.end(), call.received.begin(), call.received.end())) {
    return fmt::format("received counts {}, not {}",
                       std::vector<i64>(call.received.begin(), call.received.end()), received);
  }
  if (peer != call.peer) return fmt::format("peer {}, not {}", call.peer, peer);
  return std::nullopt;
}

void ScheduleCursor::join(const ProcessGroup& group) {
  const bool added = rank_in_.emplace(group.label(), group.rank()).second;
  check(added, "two scheduled groups of the label {}", group.label());
}

const ScheduleEntry* ScheduleCursor::next() {
  for (; position_ < schedule_.entries().size(); ++position_) {
    const ScheduleEntry& entry = schedule_.entries()[position_];
    const auto group = rank_in_.find(entry.group);
    const bool others_only = entry.operation == Operation::transfer && group != rank_in_.end() &&
                             group->second != entry.peer && group->second != entry.to;
    if (!others_only) return &entry;
  }
  return nullptr;
}

void ScheduleCursor::expect(const Call& call, const ProcessGroup& group) {
  const ScheduleEntry* const entry = next();
  if (entry == nullptr) {
    fail(ExitCode::internal, "{} was not issued: the schedule of {} entries has ended", group.describe(call),
         schedule_.size());
  }
  const auto wrong = entry->group == group.label()
                         ? difference(*entry, call, group.rank(), group.size())
                         : fmt::format("group {}, not {}", group.label(), entry->group);
  if (wrong) {
    fail(ExitCode::internal, "{} was not issued: entry {} of {} in the schedule is {}; the call has {}",
         group.describe(call), position_, schedule_.size(), entry->text(), *wrong);
  }
  ++position_;
}

void ScheduleCursor::finish() {
  const ScheduleEntry* const entry = next();
  if (entry == nullptr) return;
  fail(ExitCode::internal, "{} of {} scheduled collectives were not issued, the first is entry {}: {}",
       schedule_.entries().size() - position_, schedule_.size(), position_, entry->text());
}

ScheduledGroup::ScheduledGroup(ProcessGroup& group, ScheduleCursor& cursor)
    : ProcessGroup(Wrapping{}, group), group_(group), cursor_(cursor) {
  cursor_.join(*this);
}

std::unique_ptr<ProcessGroup> ScheduledGroup::split(int, int, std::string name) {
  check(false, "group {} executes a schedule and cannot be split into {}", label(), name);
  return nullptr;
}

void ScheduledGroup::do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType dtype,
                                 const char* label) {
  group_.do_exchange(send, recv, dtype, label);
}

void ScheduledGroup::do_send_recv(Outgoing send, int to, Incoming recv, int from, DType dtype,
                                  const char* label) {
  group_.do_send_recv(send, to, recv, from, dtype, label);
}

void ScheduledGroup::do_broadcast(void* data, i64 bytes, int root, const char* label) {
  group_.do_broadcast(data, bytes, root, label);
}

void ScheduledGroup::do_gather(const void* value, void* all, i64 bytes, const char* label) {
  group_.do_gather(value, all, bytes, label);
}

void ScheduledGroup::do_barrier(const char* label) {
  group_.do_barrier(label);
}

void ScheduledGroup::do_abort(int code) {
  group_.do_abort(code);
}

}  // namespace longsight::parallel
