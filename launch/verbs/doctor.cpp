// longsight doctor: what a run would meet on this machine, on these ranks: what is there, what is wrong, and
// what to do.
#include <algorithm>

#include "launch/doctor/checks.h"
#include "launch/output.h"
#include "launch/verb.h"
#include "parallel/groups/mpi_session.h"
#include "parallel/groups/self_group.h"
#include "runtime/base/json.h"

namespace longsight::launch {
namespace {

struct DoctorOptions {
  std::string folder;
  bool json = false;
};

doctor::Findings& operator+=(doctor::Findings& all, const doctor::Findings& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Every rank calls each of them, whatever it found before.
doctor::Findings examine(Job& job, parallel::ProcessGroup& node, const DoctorOptions& o) {
  const bool launched = parallel::started_by_launcher();
  doctor::Findings found{doctor::check_ranks(job.world, launched, job.stream)};
  found += doctor::of_leader(node.rank() == 0 ? doctor::check_node(node.size()) : doctor::Findings(), node,
                             job.stream);
  found.push_back(doctor::check_processors(node, job.stream));
  found += doctor::check_process(launched);
  found.push_back(doctor::check_direct_copies(node, job.stream));
  found += doctor::of_leader(doctor::check_links(job.world, job.stream), job.world, job.stream);
  if (!o.folder.empty()) found += doctor::check_folder(o.folder, job.world, job.stream);
  found += doctor::check_libraries();
  return found;
}

ExitCode run_doctor(Job& job, const DoctorOptions& o) {
  parallel::SelfGroup self;
  parallel::ProcessGroup& node = job.node != nullptr ? *job.node : self;
  const std::vector<doctor::RanksFinding> found =
      doctor::gather(examine(job, node, o), job.world, job.stream);
  const auto wrong = std::count_if(found.begin(), found.end(), [](const doctor::RanksFinding& f) {
    return f.finding.verdict == doctor::Verdict::wrong;
  });
  if (job.leads() && o.json) {
    nlohmann::ordered_json line{{"ranks", job.world.size()}, {"wrong", wrong}};
    line["findings"] = nlohmann::ordered_json::array();
    for (const doctor::RanksFinding& f : found) line["findings"].push_back(doctor::json_of(f));
    print_line(json_text(line));
  } else if (job.leads()) {
    std::size_t width = 0;
    for (const doctor::RanksFinding& f : found) width = std::max(width, f.finding.name.size());
    for (const doctor::RanksFinding& f : found) print_line(doctor::text_of(f, width, job.world.size()));
    print_line(wrong == 0 ? "nothing is wrong"
                          : fmt::format("{} thing{} to put right", wrong, wrong == 1 ? "" : "s"));
  }
  job.world.barrier(job.stream);
  return wrong == 0 ? ExitCode::done : ExitCode::internal;
}

}  // namespace

void add_doctor(Command app, Run& run) {
  const Command verb = app.add_command(
      "doctor", "Look at what a run needs of this machine and these ranks, and say what to put right");
  auto o = std::make_shared<DoctorOptions>();
  verb.add_option("--dir", o->folder, "also look at the file system of this folder (output.dir)");
  verb.add_flag("--json", o->json, "one line of JSON, last on stdout");
  verb.callback([o, &run] { run = [o](Job& job) { return run_doctor(job, *o); }; });
}

}  // namespace longsight::launch
