#include "parallel/groups/schedule.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>
#include <xxhash.h>

#include "parallel/groups/rank_text.h"

namespace longsight::parallel {
namespace {

constexpr const char* kCheck = "schedule check";
constexpr std::size_t kLongTable = 64;  // longer ones are summarised in texts

std::string counts_text(const ScheduleEntry& e) {
  if (e.operation == Operation::barrier) return "[]";
  const i64 ranks = e.counts.ranks();
  if (ranks == 0) return fmt::format("[{}]", e.count);
  const bool table = e.operation == Operation::all_to_all;
  const auto length = static_cast<std::size_t>(table ? checked_mul(ranks, ranks) : ranks);
  if (length > kLongTable) return fmt::format("[{} counts, {:016x}]", length, e.counts.fingerprint());
  std::vector<std::vector<i64>> rows;
  std::vector<i64> totals;
  for (i64 r = 0; r < ranks; ++r) {
    rows.push_back(e.counts.sent_by(r));
    totals.push_back(e.counts.total_sent_by(r));
  }
  if (table) return fmt::format("{}", rows);
  if (e.operation == Operation::all_gather) return fmt::format("{}", e.counts.received_by(0));
  return fmt::format("{}", e.operation == Operation::reduce_scatter ? rows[0] : totals);
}

template <class Same>
std::string ranks_that(int ranks, Same&& same) {
  std::vector<int> list;
  for (int r = 0; r < ranks; ++r) {
    if (same(r)) list.push_back(r);
  }
  return ranks_text(list);
}

// A sequence of fields, hashed without ambiguity: every text is preceded by its length.
class FieldHash {
 public:
  FieldHash& add(u64 value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  FieldHash& add(const std::string& text) {
    add(text.size());
    bytes_ += text;
    return *this;
  }
  u64 digest() const { return XXH3_64bits(bytes_.data(), bytes_.size()); }

 private:
  std::string bytes_;
};

// All of an entry that is the same for each two ranks of a group of `ranks`.
u64 head_hash(const ScheduleEntry& e, i64 ranks) {
  return FieldHash()
      .add(static_cast<u64>(e.operation))
      .add(e.label)
      .add(e.group)
      .add(static_cast<u64>(e.dtype))
      .add(static_cast<u64>(e.count))
      .add(static_cast<u64>(e.peer))
      .add(static_cast<u64>(e.to))
      .add(static_cast<u64>(e.counts.ranks()))
      .add(e.counts.ranks() == ranks ? 0 : e.counts.fingerprint())  // of another group
      .digest();
}

// One value to each rank, one from each.
template <class T>
std::vector<T> swapped(const std::vector<T>& values, ProcessGroup& group, Stream stream) {
  static_assert(sizeof(T) == sizeof(i64));
  std::vector<T> received(values.size());
  const std::vector<i64> one(values.size(), 1);
  group.all_to_all_v(values.data(), one, received.data(), one, DType::I64, stream, kCheck);
  return received;
}

// Some two ranks do not fit together, and all come here.
[[noreturn]] void explain(const Schedule& schedule, ProcessGroup& group, Stream stream) {
  const i64 ranks = group.size();
  const std::string differ = fmt::format(
      "the ranks of group {} would issue different collectives; nothing was issued. Entry", group.label());
  const std::vector<i64> lengths = group.all_gather(schedule.size(), stream, kCheck);
  for (i64 i = 0; i < *std::max_element(lengths.begin(), lengths.end()); ++i) {
    const ScheduleEntry* const entry =
        i < schedule.size() ? &schedule.entries()[static_cast<std::size_t>(i)] : nullptr;
    const auto heads = group.all_gather(entry ? head_hash(*entry, ranks) : 0, stream, kCheck);
    const auto other = std::find_if(heads.begin(), heads.end(), [&](u64 hash) { return hash != heads[0]; });
    if (other != heads.end()) {
      const auto texts = group.all_gather(entry ? entry->text() : "the end of the list", stream, kCheck);
      const auto having = [&](u64 hash) {
        return ranks_that(group.size(), [&](int r) { return heads[static_cast<std::size_t>(r)] == hash; });
      };
      fail(ExitCode::internal, "{} {}: {} has {}; {} has {}", differ, i, having(heads[0]), texts[0],
           having(*other), texts[static_cast<std::size_t>(other - heads.begin())]);
    }
    if (entry->counts.ranks() != ranks) continue;
    const std::vector<i64> said = swapped(entry->counts.sent_by(group.rank()), group, stream),
                           expected = entry->counts.received_by(group.rank());
    struct Wrong {
      i64 from = -1, said = 0, expected = 0;
    } wrong;
    const auto [a, b] = std::mismatch(said.begin(), said.end(), expected.begin());
    if (a != said.end()) wrong = {a - said.begin(), *a, *b};
    const std::vector<Wrong> all = group.all_gather(wrong, stream, kCheck);
    const auto first = std::find_if(all.begin(), all.end(), [](const Wrong& w) { return w.from >= 0; });
    if (first == all.end()) continue;
    fail(ExitCode::internal, "{} {}, {}: rank {} sends {} to rank {}, which expects {}", differ, i,
         entry->name(), first->from, first->said, first - all.begin(), first->expected);
  }
  fail(ExitCode::internal, "schedules of group {} differ, but none of their entries does", group.label());
}

}  // namespace

std::string ScheduleEntry::name() const {
  return fmt::format("{} \"{}\" {} {}", name_of(operation), label, group, longsight::name_of(dtype));
}

std::string ScheduleEntry::text() const {
  std::string result = fmt::format("{} {}", name(), counts_text(*this));
  if (operation == Operation::broadcast) result += fmt::format(" root {}", peer);
  if (operation == Operation::shift) result += fmt::format(" offset {}", peer);
  if (operation == Operation::transfer) result += fmt::format(" rank {} to rank {}", peer, to);
  return result;
}

void Schedule::add(const std::string& group, DType dtype, const Exchange& exchange) {
  add({.operation = exchange.operation,
       .label = exchange.label,
       .group = group,
       .dtype = dtype,
       .counts = exchange.counts});
}

void Schedule::add(const std::string& group, DType dtype, const std::vector<Exchange>& exchanges) {
  for (const Exchange& exchange : exchanges) add(group, dtype, exchange);
}

void Schedule::add_all_reduce_sum(std::string group, std::string label, DType dtype, i64 count) {
  add({.operation = Operation::all_reduce_sum,
       .label = std::move(label),
       .group = std::move(group),
       .dtype = dtype,
       .count = count});
}

std::string Schedule::text() const {
  std::string result;
  for (std::size_t i = 0; i < entries_.size(); ++i) result += fmt::format("{:4} {}\n", i, entries_[i].text());
  return result;
}

std::vector<u64> pair_hashes(const Schedule& schedule, Side side, i64 rank, i64 ranks) {
  std::vector<u64> hashes(static_cast<std::size_t>(ranks), 0);
  for (const ScheduleEntry& entry : schedule.entries()) {
    const u64 head = head_hash(entry, ranks);
    std::vector<i64> counts(hashes.size(), 0);
    if (entry.counts.ranks() == ranks)
      counts = side == Side::says ? entry.counts.sent_by(rank) : entry.counts.received_by(rank);
    for (std::size_t r = 0; r < hashes.size(); ++r) {
      const std::array<u64, 3> link{hashes[r], head, static_cast<u64>(counts[r])};
      hashes[r] = XXH3_64bits(link.data(), sizeof link);
    }
  }
  return hashes;
}

void agree(const Schedule& schedule, ProcessGroup& group, Stream stream) {
  if (group.size() == 1 || group.backend() == Backend::trace) return;
  if (&group.control() != &group) return agree(schedule, group.control(), {});
  const std::vector<u64> said =
      swapped(pair_hashes(schedule, Side::says, group.rank(), group.size()), group, stream);
  const bool fits = said == pair_hashes(schedule, Side::expects, group.rank(), group.size());
  if (group.all_reduce_max(i64{fits ? 0 : 1}, stream, kCheck) > 0) explain(schedule, group, stream);
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
  std::vector<i64> sent{entry.count}, received;
  int peer = entry.peer;
  const i64 n = entry.counts.ranks();
  if (n > 0 && n != ranks) return fmt::format("a group of {} ranks, not {}", ranks, n);
  if (entry.operation == Operation::all_to_all) {
    sent = entry.counts.sent_by(rank);
    received = entry.counts.received_by(rank);
  } else if (entry.operation == Operation::all_gather) {
    sent = entry.counts.received_by(rank);  // of each rank
  } else if (entry.operation == Operation::reduce_scatter) {
    sent = entry.counts.sent_by(rank);  // for each rank
  } else if (entry.operation == Operation::shift) {
    sent = {entry.counts.total_sent_by(rank)};
    received = {entry.counts.total_received_by(rank)};
  } else if (entry.operation == Operation::transfer) {
    if (rank == entry.to) sent.swap(received);
    if (rank == entry.peer) peer = entry.to;
  } else if (entry.operation == Operation::barrier) {
    sent.clear();
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

void ScheduleCursor::follow(Schedule schedule) {
  finish();
  schedule_ = std::move(schedule);
  position_ = 0;
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

bool ScheduledGroup::lists(const Exchange& exchange, DType dtype, Stream stream) {
  if (!group_.lists(exchange, dtype, stream)) return false;
  const std::vector<i64> sent = exchange.counts.sent_by(rank()),
                         received = exchange.counts.received_by(rank());
  Call call{exchange.operation, exchange.label.c_str(), dtype, sent};
  if (exchange.operation == Operation::all_gather) call.sent = received;  // of each rank
  if (exchange.operation == Operation::all_to_all) call.received = received;
  cursor_.expect(call, *this);
  return true;
}

void ScheduledGroup::do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType dtype,
                                 const char* label, Stream stream) {
  group_.do_exchange(send, recv, dtype, label, stream);
}

void ScheduledGroup::do_send_recv(Outgoing send, int to, Incoming recv, int from, DType dtype,
                                  const char* label, Stream stream) {
  group_.do_send_recv(send, to, recv, from, dtype, label, stream);
}

void ScheduledGroup::do_broadcast(void* data, i64 bytes, int root, const char* label, Stream stream) {
  group_.do_broadcast(data, bytes, root, label, stream);
}

void ScheduledGroup::do_gather(const void* value, void* all, i64 bytes, const char* label, Stream stream) {
  group_.do_gather(value, all, bytes, label, stream);
}

void ScheduledGroup::do_barrier(const char* label, Stream stream) {
  group_.do_barrier(label, stream);
}

void ScheduledGroup::do_abort(int code) {
  group_.do_abort(code);
}

}  // namespace longsight::parallel
