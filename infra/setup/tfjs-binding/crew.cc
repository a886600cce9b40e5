#include "crew.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace tfnodejs {
namespace {

int CountThreads() {
  const char *wanted = std::getenv("TF_NUM_INTRAOP_THREADS");
  const int count = wanted == nullptr ? 0 : std::atoi(wanted);
  if (count > 0) return count;
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? std::max(1, CPU_COUNT(&cpus)) : 1;
}

}  // namespace

Crew::Crew(int size) : size_(size) {
  for (int i = 1; i < size; i++) std::thread([this, i] { Work(i); }).detach();
}

void Crew::Run(const std::function<void(int)> &part) {
  std::unique_lock<std::mutex> mine(callers_, std::try_to_lock);
  if (!mine.owns_lock() || size_ == 1) {
    for (int i = 0; i < size_; i++) part(i);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    part_ = &part;
    left_ = size_ - 1;
    round_++;
  }
  begin_.notify_all();
  part(0);
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return left_ == 0; });
}

void Crew::Split(int64_t count, int64_t values, const std::function<void(int64_t, int64_t)> &work) {
  constexpr int64_t kSmall = 1 << 14; // fewer values are not worth a second thread
  if (count * values < kSmall)
    work(0, count);
  else
    Run([&](int part) { work(count * part / size_, count * (part + 1) / size_); });
}

void Crew::Work(int i) {
  uint64_t seen = 0;
  for (;;) {
    const std::function<void(int)> *part;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      begin_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      part = part_;
    }
    (*part)(i);
    std::lock_guard<std::mutex> lock(mutex_);
    if (--left_ == 0) done_.notify_one();
  }
}

Crew &TheCrew() {
  static Crew *crew = new Crew(CountThreads()); // never deleted: its threads wait in it
  return *crew;
}

}  // namespace tfnodejs
