#include "runtime/data/records/media_resolver.h"

#include <filesystem>

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "runtime/base/shorten.h"
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
                                      "up/../secret.png",
                                      "up/../../secret.png",
                                      "sub/root/../secret.png",
                                      outer / "media/up/../secret.png",
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
  // So do links that lead out, and ".." does not leave by one.
  for (const char* path :
       {"link.png", "relative.png", "chain.png", "up/secret.png", "up/media/up/secret.png"}) {
    CAPTURE(path);
    CHECK(media.resolve(path, "w").path == outer / ("media/" + std::string(path)));
    CHECK(media.resolve(outer / ("media/" + std::string(path)), "w").path ==
          outer / ("media/" + std::string(path)));
  }
  CHECK(media.resolve("sub/root/../../a.png", "w").path == outer / "media/a.png");
  CHECK(media.resolve(outer / "media/a.png", "w").path == outer / "media/a.png");
  CHECK(failure_of([&] { media.resolve("../media-evil/c.png", "w"); }) ==
        Failure{ExitCode::bad_data,
                "w: the image " + shortened(outer / "media/../media-evil/c.png") + " lies outside of " +
                    (outer / "media") +
                    ", the folder of the pictures; name one that holds it: images: FOLDER in "
                    "the data set's entry"});
  CHECK(failure_of([&] { media.resolve("pipe.png", "w"); }) ==
        Failure{ExitCode::bad_data,
                "w: the image " + shortened(outer / "media/pipe.png") + ": it is a pipe, not a file"});
}

TEST_CASE("a file:// URI is an absolute path, percent signs decoded where that is the file") {
  const ScratchFolder folder;
  folder.write("a b.png", "x");
  folder.write("50%.png", "x");
  folder.write("c%20d.png", "x");
  folder.write("c d.png", "x");
  const MediaFolder media("d.jsonl", folder.path());
  const auto path_of = [&](const std::string& name) { return media.resolve("file://" + name, "w").path; };
  CHECK(path_of(folder / "a b.png") == folder / "a b.png");
  CHECK(path_of(folder / "a%20b.png") == folder / "a b.png");
  CHECK(path_of("localhost" + (folder / "50%.png")) == folder / "50%.png");
  CHECK(path_of(folder / "c%20d.png") == folder / "c%20d.png");  // as it is written first
  const auto refusal = [&](const std::string& name) { return failure_of([&] { media.resolve(name, "w"); }); };
  CHECK(refusal("file://a.png") ==
        Failure{ExitCode::bad_data,
                "w: file://a.png is not a file:// URI with an absolute path: file:///FOLDER/FILE"});
  CHECK(refusal("file:///etc/passwd").code == ExitCode::bad_data);
  CHECK(contains(refusal("file:///etc/passwd").message, "images: FOLDER"));
  CHECK(refusal("file://" + (folder / "%00.png")).code == ExitCode::missing_input);
  CHECK(refusal("s3://bucket/a.png").code == ExitCode::bad_data);
  const std::string long_url = "https://example.org/" + std::string(1'000'000, 'x') + ".png";
  CHECK(refusal(long_url).message.size() < 300);
}
