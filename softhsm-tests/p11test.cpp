// Runs SoftHSM2's own PKCS#11 tests one at a time, by number: each in a process of its own, so that
// one that ends its process ends no other, and a forked child is seen.
//
//   p11test           lists the tests
//   p11test NUMBER    runs one; the module is the one that P11TEST_MODULE names

#include <cppunit/Test.h>
#include <cppunit/TestResult.h>
#include <cppunit/TestResultCollector.h>
#include <cppunit/TextOutputter.h>
#include <cppunit/extensions/TestFactoryRegistry.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <vector>

namespace {

void collect(CppUnit::Test *test, std::vector<CppUnit::Test *> &tests)
{
    if (test->getChildTestCount() == 0) {
        tests.push_back(test);
        return;
    }
    for (int child = 0; child < test->getChildTestCount(); ++child) {
        collect(test->getChildTestAt(child), tests);
    }
}

} // namespace

int main(int argc, char **argv)
{
    const std::unique_ptr<CppUnit::Test> all(
        CppUnit::TestFactoryRegistry::getRegistry().makeTest());
    std::vector<CppUnit::Test *> tests;
    collect(all.get(), tests);
    if (argc < 2) {
        for (std::size_t number = 0; number < tests.size(); ++number) {
            std::cout << number << '\t' << tests[number]->getName() << '\n';
        }
        return EXIT_SUCCESS;
    }
    const std::size_t number = std::strtoul(argv[1], nullptr, 10);
    if (number >= tests.size()) {
        std::cerr << "there is no test " << argv[1] << '\n';
        return 2;
    }
    CppUnit::TestResult events;
    CppUnit::TestResultCollector results;
    events.addListener(&results);
    tests[number]->run(&events);
    CppUnit::TextOutputter(&results, std::cout).write();
    return results.wasSuccessful() ? EXIT_SUCCESS : EXIT_FAILURE;
}
