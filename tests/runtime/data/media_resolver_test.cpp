#include "runtime/data/media_resolver.h"

#include <filesystem>

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

TEST_CASE("forty ways out of the media folder are refused") {
  namespace fs = std::filesystem;
  const ScratchFolder outer;
  fs::create_directories(outer / "media/sub");
  fs::create_directories(outer / "media-evil");
  for (const char* file : {"secret.png", "media/a.png", "media/sub/b.png", "media-evil/c.png"})
    outer.write(file, "x");
  fs::create_symlink(outer / "secret.png", outer / "media/link.png");
  fs::create_symlink("../secret.png", outer / "media/relative.png");
  fs::create_symlink("link.png", outer / "media/chain.png");
  fs::create_directory_symlink("..", outer / "media/up");
  fs::create_directory_symlink("/", outer / "media/sub/root");
  fs::create_symlink("loop.png", outer / "media/loop.png");
  fs::create_symlink("/nowhere/x.png", outer / "media/dangling.png");
  REQUIRE(::mkfifo((outer / "media/pipe.png").c_str(), 0600) == 0);
  const std::string secret = outer / "secret.png";
  const MediaFolder media("d.jsonl", outer / "media");

  const std::vector<std::string> ways{"../secret.png",
                                      "./../secret.png",
                                      "sub/../../secret.png",
                                      "sub/../sub/../../secret.png",
                                      "..//secret.png",
                                      "../media-evil/c.png",
                                      "../media/../secret.png",
                                      "sub/./../.././secret.png",
                                      ".././././secret.png",
                                      "../../../../../../../../../../../../etc/passwd",
                                      secret,
                                      "/" + secret,
                                      "//" + secret,
                                      "/etc/passwd",
                                      "/etc/../etc/passwd",
                                      "/proc/self/environ",
                                      "/dev/stdin",
                                      "/dev/zero",
                                      "/",
                                      "..",
                                      ".",
                                      "sub",
                                      "sub/..",
                                      "link.png",
                                      "relative.png",
                                      "chain.png",
                                      "up/secret.png",
                                      "up/media/up/secret.png",
                                      "sub/root/etc/passwd",
                                      "loop.png",
                                      "dangling.png",
                                      "pipe.png",
                                      std::string("a.png\0/../../secret.png", 23),
                                      std::string("../secret.png\0.png", 18),
                                      "%2e%2e/secret.png",
                                      "..%2fsecret.png",
                                      "..\\secret.png",
                                      "\xEF\xBC\x8E\xEF\xBC\x8E/secret.png",
                                      "\xE2\x80\xA4\xE2\x80\xA4/secret.png",
                                      "..\xEF\xBC\x8Fsecret.png",
                                      "\xC0\xAE\xC0\xAE/secret.png",
                                      "file://" + secret,
                                      "https://example.org/a.png",
                                      "FILE:///etc/passwd",
                                      "~/secret.png",
                                      "$HOME/secret.png",
                                      "a.png/../../secret.png",
                                      "a.png/",
                                      std::string(5000, 'a'),
                                      " ../secret.png"};
  CHECK(ways.size() >= 40);
  for (const std::string& way : ways) {
    CAPTURE(way);
    const Failure failure = failure_of([&] { media.resolve(way, "d.jsonl:3"); });
    CHECK((failure.code == ExitCode::bad_data || failure.code == ExitCode::missing_input));
    CHECK(failure.message.starts_with("d.jsonl:3: "));
  }
  // The ways that are meant stay open.
  for (const char* path : {"a.png", "sub/b.png", "sub/../a.png", "./a.png", "up/media/a.png"}) {
    CAPTURE(path);
    CHECK(media.resolve(path, "w").path == outer / ("media/" + std::string(path)));
  }
  CHECK(media.resolve(outer / "media/a.png", "w").path == outer / "media/a.png");
  CHECK(failure_of([&] { media.resolve("../media-evil/c.png", "w"); }) ==
        Failure{ExitCode::bad_data, "w: the image " + (outer / "media/../media-evil/c.png") +
                                        " lies outside of " + (outer / "media")});
  CHECK(failure_of([&] { media.resolve("pipe.png", "w"); }) ==
        Failure{ExitCode::bad_data, "w: the image " + (outer / "media/pipe.png") + " is not a file"});
}
